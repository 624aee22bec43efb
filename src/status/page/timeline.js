// The windows of one key on an axis of event time: bars for windows, dots for events, lines for clock and watermark.
const MOST_BARS = 48;
const ROW = 22;
const SAID = {
  open: "open",
  closing: "in grace",
  closed: "closed, waits for the model",
  settled: "closed, no result yet",
  predicted: "predicted",
  dead: "dead letter",
  late: "missed",
};

// What a result says, without what the bar says already.
function prediction(value) {
  if (value === undefined) return "too long to be shown";
  const { key, window, n_events, ...rest } = value;
  return Object.entries(rest).map(([name, one]) => `${name} ${typeof one === "string" ? one : JSON.stringify(one)}`).join(", ");
}

// All that is known of the windows of a model on a partition, by start.
function windowsOf(answer, partition, model, before) {
  const found = new Map();
  const config = model.config;
  for (const seen of answer.seen) {
    if (seen.model !== model.model || seen.partition !== partition.partition || seen.topic !== partition.topic || !seen.window) continue;
    const { start, end, n_events } = seen.window;
    const dead = seen.reason !== undefined;
    const text = dead ? `${seen.reason}: ${seen.detail}` : prediction(seen.value);
    found.set(start, { start, end, n_events, state: dead ? "dead" : "predicted", text });
  }
  for (const window of model.windows) {
    const { start, end, n_events, state } = window;
    if (!found.has(start)) found.set(start, { start, end, n_events, state, text: "" });
  }
  for (const old of before.values()) {
    if (!found.has(old.start)) found.set(old.start, old.state === "late" ? old : { ...old, state: "settled" });
  }
  for (const { late } of found.values()) if (late) late.length = 0;
  for (const missed of answer.missed) {
    if (missed.model !== model.model) continue;
    for (let start = missed.last_start; start >= missed.first_start && start > missed.last_start - MOST_BARS * config.hop_ms; start -= config.hop_ms) {
      const window = found.get(start) || { start, end: start + config.size_ms, n_events: 0, state: "late", text: "closed before its events came" };
      window.late = (window.late || []).concat(missed.time);
      found.set(start, window);
    }
  }
  const byEnd = [...found.values()].sort((a, b) => a.end - b.end).slice(-MOST_BARS);
  const last = byEnd.length ? byEnd[byEnd.length - 1].end : 0;
  const newest = byEnd.filter((window) => window.end > last - 2 * config.size_ms - 12 * config.hop_ms);
  return new Map(newest.map((window) => [window.start, window]));
}

function barText(window) {
  const late = window.late && window.late.length ? `, ${window.late.length} late` : "";
  return `${SAID[window.state]}, ${window.n_events} events${late}${window.text ? `: ${window.text}` : ""}`;
}

function drawTimeline(plot, windows, partition, model, says) {
  const width = Math.max(plot.clientWidth || 0, 560);
  const bars = [...windows.values()];
  const clock = partition.clock;
  const first = Math.min(...bars.map((bar) => bar.start), clock ?? Infinity);
  const last = Math.max(...bars.map((bar) => bar.end), clock ?? -Infinity);
  const x = (at) => 6 + (width - 12) * ((at - first) / Math.max(last - first, 1));
  const rows = [];
  const parts = [];
  for (const bar of bars) {
    let row = rows.findIndex((end) => end <= bar.start);
    if (row < 0) row = rows.push(bar.end) - 1;
    rows[row] = bar.end;
    const [left, right, top] = [x(bar.start), x(bar.end), 44 + row * ROW];
    const label = `${clockTime(bar.start)} to ${clockTime(bar.end)}: ${barText(bar)}`;
    const late = bar.late && bar.late.length ? " lated" : "";
    const room = Math.max(Math.floor((right - left - 8) / 6.2), 0);
    const name = bar.state === "predicted" || bar.state === "dead" ? bar.text : `${SAID[bar.state]} ${bar.n_events}`;
    parts.push(
      svg("rect", {
        class: `bar ${bar.state}${late}`, x: left, y: top, width: Math.max(right - left - 1, 2), height: ROW - 4, rx: 3,
        tabindex: 0, role: "img", "aria-label": label, "data-id": `${model.model}/${bar.start}`,
      }, svg("title", {}, label)),
      svg("text", { class: "name", x: left + 4, y: top + 13, "aria-hidden": "true" }, name.length > room ? name.slice(0, Math.max(room - 1, 0)) : name),
    );
  }
  for (const event of partition.events) {
    if (event.time >= first) parts.push(svg("circle", { class: "event", cx: x(event.time), cy: 34, r: 3 }, svg("title", {}, `${clockTime(event.time)}: ${event.values.join(", ")}`)));
  }
  for (const at of new Set(bars.flatMap((bar) => bar.late || []))) {
    if (at >= first) parts.push(svg("circle", { class: "event missed", cx: x(at), cy: 34, r: 4 }, svg("title", {}, `${clockTime(at)}: late`)));
  }
  const height = 66 + rows.length * ROW;
  for (const [name, at, level] of [["watermark", model.watermark, 22], ["clock", clock, 11]]) {
    if (at === null || at < first || at > last) continue;
    parts.push(
      svg("line", { class: name, x1: x(at), x2: x(at), y1: level, y2: height - 20 }),
      svg("text", { x: x(at), y: level, "text-anchor": x(at) > width / 2 ? "end" : "start" }, `${name} ${clockTime(at)}`),
    );
  }
  parts.push(svg("text", { x: 6, y: height - 5 }, time(first)), svg("text", { x: width - 6, y: height - 5, "text-anchor": "end" }, clockTime(last)));
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  plot.setAttribute("height", height);
  const states = Object.keys(SAID).map((state) => [state, bars.filter((bar) => bar.state === state).length]).filter(([, n]) => n);
  plot.setAttribute("aria-label", `${says}: ${states.map(([state, n]) => `${n} ${SAID[state]}`).join(", ")}`);
  const focus = plot.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
  plot.replaceChildren(...parts);
  if (focus !== undefined) for (const one of plot.querySelectorAll("rect")) if (one.dataset.id === focus) one.focus();
}

// The timeline of the key that was asked for; remembers the windows between two answers.
class Timeline {
  constructor(target) {
    this.target = target;
    this.charts = new Map();
  }

  clear() {
    this.charts.clear();
    this.target.replaceChildren();
  }

  update(answer, models) {
    for (const partition of this.withGone(answer)) {
      for (const model of partition.models) {
        model.config = models.find((config) => config.name === model.model);
        if (!model.config) continue;
        const name = `${model.model} on ${partition.topic} [${partition.partition}]`;
        const chart = this.charts.get(name) || this.add(name);
        chart.partition = partition;
        chart.model = model;
        chart.windows = windowsOf(answer, partition, model, chart.windows);
        this.draw(name, chart);
      }
    }
  }

  // Partitions that hold nothing of the key any more, but of which results have been seen.
  withGone(answer) {
    const partitions = [...answer.partitions];
    const known = (seen) => partitions.find((p) => p.topic === seen.topic && p.partition === seen.partition);
    for (const seen of answer.seen.filter((one) => one.window && one.model)) {
      let partition = known(seen);
      if (!partition) {
        partition = { topic: seen.topic, partition: seen.partition, clock: null, events: [], models: [], n_events: 0 };
        partitions.push(partition);
      }
      if (!partition.models.some((model) => model.model === seen.model)) {
        partition.models.push({ model: seen.model, watermark: null, windows: [] });
      }
    }
    return partitions;
  }

  add(name) {
    const plot = svg("svg", { role: "group" });
    const rows = el("div", {});
    const box = el("div", { class: "scroll plot", tabindex: 0, role: "region", "aria-label": `timeline of ${name}` }, plot);
    this.target.append(el("h3", {}, name), box, el("details", {}, el("summary", {}, "As a table"), rows));
    const chart = { plot, rows, windows: new Map() };
    this.charts.set(name, chart);
    return chart;
  }

  draw(name, chart) {
    const { plot, rows, windows, partition, model } = chart;
    if (windows.size === 0 && partition.clock === null) return;
    drawTimeline(plot, windows, partition, model, name);
    const columns = [
      ["start", "", (w) => time(w.start)], ["end", "", (w) => time(w.end)], ["events", "number", (w) => count(w.n_events)],
      ["late", "number", (w) => count((w.late || []).length)], ["state", "", (w) => SAID[w.state]], ["what came of it", "wide", (w) => w.text],
    ];
    rows.replaceChildren(table(`windows of ${name}`, columns, [...windows.values()].reverse(), "no windows"));
  }
}
