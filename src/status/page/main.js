// What is shown is what the server says: everything once, then every second what is new.
const points = [];
let models = [];
let charts = [];
let chosen = null;
let asking = false;
const timeline = new Timeline(byId("timeline"));
const GOOD = { running: "good", "catching up": "watch", paused: "watch", starting: "watch", stopping: "watch" };

function showPhase(phase) {
  const badge = byId("phase");
  if (badge.textContent === phase) return;
  badge.textContent = phase;
  badge.className = `badge ${GOOD[phase] || "bad"}`;
}

function showAbout(status) {
  const { name, group, brokers, guarantee, lanes, version } = status.app;
  byId("app").textContent = name;
  document.title = `${name} – millstream`;
  byId("about").textContent = `group ${group} on ${brokers}, ${guarantee.replace(/_/g, " ")}, ${lanes} ${lanes === 1 ? "lane" : "lanes"}, `
    + `up ${seconds(status.uptime_seconds)}, in flight ${bytes(status.totals.inflight_bytes)} of ${bytes(status.totals.max_inflight_bytes)}, millstream ${version}`;
}

function showFlow(status) {
  byId("flow").replaceChildren(...status.stages.map((stage) => el("li", { class: stage.holds_up ? "holds" : null },
    el("b", {}, stage.name, stage.holds_up ? " – holds up" : ""),
    el("span", { class: "rate" }, brief(stage.rate)), ` ${stage.unit}/s`,
    el("div", { class: "dim" }, `${count(stage.waiting)} ${stage.waiting_unit}`, stage.busy === null ? "" : `, busy ${count(stage.busy * 100)} %`))));
  const slow = status.stages.find((stage) => stage.holds_up);
  const text = slow ? `Back-pressure: ${slow.name} is the slowest stage; what is before it waits.` : "No back-pressure.";
  if (byId("pressure").textContent !== text) byId("pressure").textContent = text;
}

const reasons = (counted) => Object.entries(counted).map(([reason, n]) => `${reason} ${count(n)}`).join(", ") || "–";

function showModels(status) {
  const columns = [
    ["model", "", (m) => m.name], ["events/s", "number", (m) => brief(m.rates.events)], ["windows/s", "number", (m) => brief(m.rates.windows)],
    ["open", "number", (m) => count(m.windows_open)], ["waiting", "number", (m) => count(m.windows_waiting + m.windows_queued)],
    ["produced", "number", (m) => count(m.windows_produced)], ["late pairs", "number", (m) => count(m.late_pairs)],
    ["batch", "number", (m) => brief(m.rates.batch)], ["p50", "number", (m) => seconds(m.rates.predict_p50)],
    ["p99", "number", (m) => seconds(m.rates.predict_p99)], ["busy", "number", (m) => `${m.workers_busy}/${m.workers}`],
    ["failed calls", "number", (m) => count(m.failed_calls)], ["dead letters", "", (m) => reasons(m.dead_letters)],
    ["windows", "", (m) => m.unit === "event" ? "every event" : `${seconds(m.size_ms / 1e3)} every ${seconds(m.hop_ms / 1e3)}, grace ${seconds(m.grace_ms / 1e3)}`],
    ["from – to", "", (m) => `${m.source} – ${m.sink}`],
  ];
  show(byId("models"), () => [table("models", columns, status.models, "no models")], JSON.stringify(status.models));
}

function showPartitions(status) {
  const rows = status.sources.flatMap((source) => source.partitions.map((partition) => ({ topic: source.topic, ...partition })));
  const columns = [
    ["topic", "", (p) => p.topic], ["partition", "number", (p) => p.partition], ["state", "", (p) => p.state],
    ["lag", "number", (p) => count(p.lag)], ["clock delay", "number", (p) => seconds(p.clock_delay_seconds)],
    ["clock", "", (p) => (p.clock === null ? "–" : time(p.clock))], ["next offset", "number", (p) => count(p.next_offset)],
    ["committed", "number", (p) => count(p.committed_offset)], ["end", "number", (p) => count(p.end_offset)],
    ["keys", "number", (p) => count(p.keys)], ["events", "number", (p) => count(p.events)], ["memory", "number", (p) => bytes(p.state_bytes)],
  ];
  const invalid = status.sources.filter((source) => Object.keys(source.invalid).length)
    .map((source) => el("p", {}, `Not usable in ${source.topic}: ${reasons(source.invalid)}`));
  show(byId("partitions"), () => [table("partitions", columns, rows, "no partition is assigned"), ...invalid], JSON.stringify([rows, status.sources.map((s) => s.invalid)]));
}

const keyCell = (seen) => (seen.key === null ? "no key" : el("button", {
  class: "key", type: "button", "data-id": `${seen.wall}/${keyText(seen.key)}/${seen.window ? seen.window.start : ""}`, onclick: () => choose(seen.key),
}, keyText(seen.key)));
const windowCell = (seen) => (seen.window ? `${time(seen.window.start)} to ${clockTime(seen.window.end)}, ${count(seen.window.n_events)} events` : "–");

function showResults(status) {
  const columns = [
    ["committed", "", (r) => clockTime(r.wall)], ["model", "", (r) => r.model], ["key", "", keyCell],
    ["window", "", windowCell], ["prediction", "wide", (r) => prediction(r.value)],
  ];
  const rows = status.results.slice(0, 20);
  show(byId("results"), () => [table("predictions", columns, rows, "none yet")], JSON.stringify(rows));
  const keys = [...new Set(status.results.map((seen) => seen.key).filter((key) => typeof key === "string"))];
  show(byId("keys"), () => keys.map((key) => el("option", { value: key })), JSON.stringify(keys));
}

function showDead(status) {
  const columns = [
    ["committed", "", (d) => clockTime(d.wall)], ["reason", "", (d) => d.reason], ["from", "", (d) => `${d.topic} [${d.partition}]${d.offset === null ? "" : ` ${d.offset}`}`],
    ["model", "", (d) => d.model || "–"], ["key", "", keyCell], ["window", "", windowCell],
    ["detail", "wide", (d) => (d.traceback ? el("details", {}, el("summary", {}, d.detail), el("pre", {}, d.traceback)) : d.detail)],
  ];
  const rows = status.dead_letters.slice(0, 20);
  show(byId("dead"), () => [table("dead letters", columns, rows, "none yet")], JSON.stringify(rows));
}

function showSettings(settings) {
  const text = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const columns = [["setting", "", ([name]) => name], ["value", "wide", ([, value]) => text(value)]];
  show(byId("settings"), () => [table("settings", columns, Object.entries(settings), "none")], JSON.stringify(settings));
}

function update(status) {
  models = status.models;
  const last = points.length ? points[points.length - 1].at : -1;
  points.push(...status.history.filter((point) => point.at > last));
  points.splice(0, points.length - 600);
  showPhase(status.phase);
  for (const part of [showAbout, showFlow, showModels, showPartitions, showResults, showDead]) part(status);
  if (status.settings) showSettings(status.settings);
  for (const chart of charts) drawChart(chart, points);
  if (!document.hidden) ask();
}

function choose(key) {
  chosen = key;
  const hex = typeof key !== "string";
  byId("key").value = hex ? key.hex : key;
  byId("hex").checked = hex;
  timeline.clear();
  byId("key-says").textContent = "Asking …";
  ask();
}

async function ask() {
  if (chosen === null || asking) return;
  asking = true;
  const key = chosen;
  try {
    const path = typeof key === "string" ? encodeURIComponent(key) : `${encodeURIComponent(key.hex)}?encoding=hex`;
    const response = await fetch(`/api/keys/${path}`);
    if (key !== chosen) return;
    if (!response.ok) throw new Error(await response.text());
    const answer = await response.json();
    timeline.update(answer, models);
    const held = answer.partitions.reduce((sum, partition) => sum + partition.n_events, 0);
    const more = answer.partitions.some((partition) => partition.truncated) ? " Only the newest of them are shown." : "";
    const some = answer.complete ? "" : " Not all lanes have answered.";
    const said = answer.partitions.length ? `Key ${keyText(answer.key)}: ${count(held)} events in memory.${more}` : `No event of key ${keyText(answer.key)} is in memory of this process.`;
    if (byId("key-says").textContent !== said + some) byId("key-says").textContent = said + some;
  } catch (error) {
    if (key === chosen) byId("key-says").textContent = `The key could not be asked for: ${error.message}`;
  } finally {
    asking = false;
  }
}

async function begin() {
  const response = await fetch("/api/status");
  if (!response.ok) throw new Error(`status ${response.status}`);
  const status = await response.json();
  if (points.length && status.uptime_seconds < points[points.length - 1].at) points.length = 0;
  update(status);
}

function follow() {
  const stream = new EventSource("/api/stream");
  stream.onopen = () => begin().catch(() => showPhase("no connection"));
  stream.onmessage = (message) => update(JSON.parse(message.data));
  stream.onerror = () => {
    showPhase("no connection");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

byId("ask").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = byId("key").value;
  if (text) choose(byId("hex").checked ? { hex: text.replace(/^0x/, "") } : text);
});
charts = makeCharts(byId("charts"));
follow();
