// Elements and text. What comes from a stream gets into the page as text nodes alone.
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  for (const child of children) made.append(child instanceof Node ? child : String(child));
  return made;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

// Replaces the content only where it differs, so that focus and selection stay where nothing has changed.
function show(target, content, stamp) {
  if (target.dataset.stamp === stamp) return;
  const focus = target.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
  target.dataset.stamp = stamp;
  target.replaceChildren(...content());
  if (focus === undefined) return;
  for (const one of target.querySelectorAll("[data-id]")) if (one.dataset.id === focus) return one.focus();
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));
const brief = (value) => (value === null || value === undefined ? "–" : short.format(value));

function seconds(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size < 1e-3) return `${brief(value * 1e6)} µs`;
  if (size < 1) return `${brief(value * 1e3)} ms`;
  if (size < 120) return `${brief(value)} s`;
  if (size < 7200) return `${brief(value / 60)} min`;
  if (size < 172800) return `${brief(value / 3600)} h`;
  return `${brief(value / 86400)} d`;
}
function bytes(value) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) {
    if (value >= size) return `${brief(value / size)} ${unit}`;
  }
  return `${count(value)} B`;
}
function time(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().replace("T", " ").replace(/\.000Z$|Z$/, "");
}
const clockTime = (ms) => time(ms).slice(11);
const keyText = (key) => (key === null ? "no key" : typeof key === "string" ? key : `0x${key.hex}`);

// A table in a box that scrolls by itself; a column is [heading, class, row => cell].
function table(label, columns, rows, empty) {
  if (rows.length === 0) return el("p", { class: "dim" }, empty);
  const head = el("tr", {}, ...columns.map(([name, kind]) => el("th", { scope: "col", class: kind }, name)));
  const body = rows.map((row) => el("tr", {}, ...columns.map(([, kind, cell]) => el("td", { class: kind }, cell(row)))));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}
