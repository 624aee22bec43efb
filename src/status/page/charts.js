// Line charts of the last five minutes, one point a second.
const SPAN = 300;
const HEIGHT = 120;
const LEFT = 46;

const CHARTS = [
  ["Events", "per second", brief, [["read", (p) => p.events]]],
  ["Windows", "per second", brief, [["settled", (p) => p.windows]]],
  ["Lag", "records", brief, [["records", (p) => p.lag]]],
  ["Latency", "window end to commit", seconds, [["p50", (p) => p.latency_p50], ["p99", (p) => p.latency_p99]]],
  ["Predict", "per call", seconds, [["p50", (p) => p.predict_p50], ["p99", (p) => p.predict_p99]]],
  ["Batch size", "windows per call", brief, [["mean", (p) => p.batch]]],
];

function makeCharts(target) {
  return CHARTS.map(([title, unit, format, series]) => {
    const caption = el("figcaption", {});
    const plot = svg("svg", { height: HEIGHT, role: "img" });
    target.append(el("figure", {}, caption, plot));
    return { title, unit, format, series, caption, plot };
  });
}

function drawChart(chart, points) {
  const { title, unit, format, series, caption, plot } = chart;
  const width = Math.max(plot.clientWidth || 0, 200);
  const end = points.length ? points[points.length - 1].at : 0;
  const recent = points.filter((point) => point.at > end - SPAN);
  const values = recent.flatMap((point) => series.map(([, of]) => of(point))).filter((value) => value !== null);
  const top = Math.max(...values, 0) || 1;
  const x = (at) => LEFT + (width - LEFT - 4) * (1 - (end - at) / SPAN);
  const y = (value) => HEIGHT - 18 - (HEIGHT - 30) * (value / top);
  const parts = [0, 0.5, 1].flatMap((part) => [
    svg("line", { class: "grid", x1: LEFT, x2: width - 4, y1: y(part * top), y2: y(part * top) }),
    svg("text", { x: LEFT - 4, y: y(part * top) + 4, "text-anchor": "end" }, format(part * top)),
  ]);
  parts.push(svg("text", { x: LEFT, y: HEIGHT - 3 }, "5 min ago"), svg("text", { x: width - 4, y: HEIGHT - 3, "text-anchor": "end" }, "now"));
  series.forEach(([, of], place) => {
    let path = "";
    for (const point of recent) {
      const value = of(point);
      if (value !== null) path += `${path ? "L" : "M"}${x(point.at).toFixed(1)} ${y(value).toFixed(1)}`;
    }
    if (path) parts.push(svg("path", { class: place ? "line second" : "line", d: path }));
  });
  const last = recent[recent.length - 1];
  const now = series.map(([name, of]) => `${name} ${format(last ? of(last) : null)}`).join(", ");
  plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  plot.setAttribute("aria-label", `${title}, ${unit}: now ${now}; highest in five minutes ${format(values.length ? top : null)}`);
  plot.replaceChildren(...parts);
  caption.replaceChildren(`${title}, ${unit}: `, el("b", {}, now));
}
