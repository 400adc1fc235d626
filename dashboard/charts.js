// @ts-check
/**
 * One chart: a title, a legend that doubles as the read-out, and uPlot below. All charts on screen share the
 * crosshair's time. uPlot is rebuilt only when the set of lines or the theme changes; each second moves data only.
 */
import { onThemeChange, resolveColour, withAlpha } from "./colours.js";
import { h, keyedList, setAttribute, setStyle, setText, setVisible } from "./dom.js";
import { formatTime } from "./format.js";
import { later, never } from "./later.js";
import {
  bridgeGaps,
  hasValue,
  isolatedPoints,
  othersLabel,
  smooth,
  stackColumns,
  topColumns,
} from "./history.js";

/**
 * @typedef {import("./history.js").Column} Column
 * @typedef {object} ChartOptions
 * @property {string} title
 * @property {string} [note] what is measured, beside the title
 * @property {(value: number | null | undefined) => string} format of an axis label and of a read-out
 * @property {"lines" | "stack"} kind
 * @property {(label: string) => string} colourOf a CSS value
 * @property {(labels: string[]) => string[]} [order] of the lines; by name when left out
 * @property {boolean} [hideZeros] leaves out lines that never rise above zero; with none left the chart is empty
 * @property {boolean} [bridges] lines go over short gaps: values that exist only while something happens
 * @property {() => number} [smoothing] points that are averaged into each; 1 when left out
 * @property {"bytes" | "things"} [unit] splits the value axis at powers of two, or at whole numbers
 * @property {number} topMin the smallest top of the value axis, so that an idle cluster does not look busy
 * @property {string} empty said in place of a picture that has no data
 * @property {import("./feed.js").Feed} feed
 * @property {string} series as `GET /v1/metrics` names it
 * @property {string} [subject] of the series; all when left out
 */

/** uPlot is a classic script: it is there before any module runs. */
const uPlot = /** @type {typeof import("uplot")} */ (/** @type {any} */ (globalThis).uPlot);

const linesMax = 8;

/** Steps of a time axis, seconds: 1 min to 10 days. */
const timeSteps = [1, 2, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 7200, 14_400].map((minutes) =>
  minutes * 60
);

/** Steps of a value axis: 1 MiB, 2 MiB … 1 TiB; 1, 2, 5 … 5 million. */
const valueSteps = {
  bytes: Array.from({ length: 21 }, (_, power) => 2 ** (20 + power)),
  things: Array.from({ length: 7 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat(),
};

/** @param {ChartOptions} options */
export function createChart(options) {
  const time = h("span", { class: "chart-time" });
  const list = h("ul", { class: "legend" });
  const plot = h("div", { class: "plot" });
  const empty = h("p", { class: "chart-empty", hidden: true }, options.empty);
  const heading = h("h3", {}, options.title);
  const head = h(
    "div",
    { class: "chart-head" },
    heading,
    h("span", { class: "note" }, options.note ?? ""),
    time,
  );
  const element = h("figure", { class: "card chart", "aria-label": options.title }, head, plot, empty, list);

  const binding = options.feed.bind(options.series, options.subject, () => later(update));
  /** @type {InstanceType<typeof uPlot> | null} */
  let picture = null;
  /** @type {Column[]} */
  let columns = [];
  let drawnLabels = "";
  /** @type {string | null} the line shown alone */
  let alone = null;
  /** @type {number | null} */
  let cursorIndex = null;

  const legend = keyedList(
    list,
    (/** @type {Column} */ column) => column.label,
    (column) => createLegendItem(column),
  );

  /** @param {Column} column */
  function createLegendItem({ label }) {
    const value = h("span", { class: "legend-value" });
    const swatch = h("span", { class: "swatch" });
    const toggle = () => {
      alone = alone === label ? null : label;
      update();
    };
    const button = h(
      "button",
      { type: "button", on: { click: toggle }, title: `Show only ${label}` },
      swatch,
    );
    button.append(h("span", { class: "legend-label" }, label), value);
    setStyle(swatch, "background", colour(label));
    return {
      element: h("li", {}, button),
      update: (/** @type {Column} */ column) => {
        setText(value, options.format(valueAt(column.values, cursorIndex)));
        setAttribute(button, "aria-pressed", String(alone === label));
        setAttribute(button, "class", alone !== null && alone !== label ? "faded" : null);
      },
    };
  }

  /** @param {string} label */
  function colour(label) {
    return label === othersLabel ? "var(--series-others)" : options.colourOf(label);
  }

  function showReadout() {
    legend.update(columns);
    const timeMs = cursorIndex === null ? undefined : binding.history.timesMs[cursorIndex];
    const mark = timeMs === undefined ? undefined : nearestMark(timeMs);
    const clock = timeMs === undefined ? "" : formatTime(timeMs, options.feed.window().toMs);
    setText(time, mark ? `${clock} · ${mark.text}` : clock);
    setAttribute(time, "title", mark ? mark.text : null);
  }

  /** The deploy or failure right under the crosshair. @param {number} timeMs */
  function nearestMark(timeMs) {
    const { fromMs, toMs } = options.feed.window();
    const reachMs = (toMs - fromMs) * 8 / Math.max(80, plot.clientWidth);
    return options.feed.marks().find(({ atMs }) => Math.abs(atMs - timeMs) <= reachMs);
  }

  /** @param {Column[]} shown */
  function rebuild(shown) {
    picture?.destroy();
    const colours = shown.map(({ label }) => resolveColour(colour(label)));
    const size = { width: Math.max(80, plot.clientWidth), height: Math.max(80, plot.clientHeight) };
    const setCursor = (/** @type {any} */ self) => {
      const index = self.cursor.idx ?? null;
      if (index === cursorIndex) return;
      cursorIndex = index;
      showReadout();
    };
    picture = new uPlot(plotOptions(options, shown, colours, size, setCursor), undefined, plot);
  }

  function update() {
    const rest = options.kind === "stack" ? "sum" : "mean";
    columns = topColumns(binding.history, linesMax, rest, columns.map(({ label }) => label));
    if (options.hideZeros) columns = columns.filter(hasValue);
    const width = options.smoothing?.() ?? 1;
    if (width > 1) columns = columns.map(({ label, values }) => ({ label, values: smooth(values, width) }));
    if (options.order) {
      const wanted = options.order(columns.map(({ label }) => label));
      columns.sort((a, b) => wanted.indexOf(a.label) - wanted.indexOf(b.label));
    }
    if (alone !== null && !columns.some(({ label }) => label === alone)) alone = null;
    const shown = alone === null ? columns : columns.filter(({ label }) => label === alone);
    const isEmpty = binding.history.timesMs.length === 0 || columns.length === 0;
    setVisible(empty, isEmpty);
    setVisible(plot, !isEmpty);
    showReadout();
    if (isEmpty) return;
    const labels = JSON.stringify(shown.map(({ label }) => label));
    if (!picture || labels !== drawnLabels) rebuild(shown);
    drawnLabels = labels;
    draw(shown);
  }

  /** @param {Column[]} shown */
  function draw(shown) {
    const { fromMs, toMs } = options.feed.window();
    const { timesMs } = binding.history;
    const drawn = options.kind === "stack" ? stackColumns(shown) : shown;
    const gapMsMax = options.bridges ? options.feed.gapMsMax() : 0;
    const data = [
      timesMs.map((timeMs) => timeMs / 1000),
      ...drawn.map(({ values }) => gapMsMax > 0 ? bridgeGaps(values, timesMs, gapMsMax) : values),
    ];
    picture?.batch((/** @type {any} */ self) => {
      self.setData(data, false);
      self.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
    });
  }

  const resize = new ResizeObserver(() => {
    if (!picture || plot.clientWidth === 0) return;
    picture.setSize({ width: plot.clientWidth, height: plot.clientHeight });
  });
  resize.observe(plot);
  const stopTheme = onThemeChange(() => {
    drawnLabels = "";
    later(update);
  });

  return {
    element,
    update: () => later(update),
    history: binding.history,
    close() {
      never(update);
      binding.close();
      resize.disconnect();
      stopTheme();
      picture?.destroy();
    },
  };
}

/**
 * The value under the crosshair, or the newest.
 * @param {(number | null)[]} values
 * @param {number | null} index
 */
function valueAt(values, index) {
  if (index !== null) return values[index];
  // The newest point may lack a late series; a few points back is still "now".
  for (let last = values.length - 1; last >= Math.max(0, values.length - 4); last--) {
    if (values[last] !== null) return values[last];
  }
  return null;
}

/**
 * @param {ChartOptions} options
 * @param {Column[]} shown
 * @param {string[]} colours
 * @param {{ width: number, height: number }} size CSS pixels
 * @param {(self: unknown) => void} setCursor
 * @returns {any} uPlot's options
 */
function plotOptions(options, shown, colours, size, setCursor) {
  const ink = resolveColour("var(--dim)");
  const grid = { stroke: resolveColour("var(--hairline)"), width: 1 };
  const font = "11px Inter, ui-sans-serif, system-ui, sans-serif";
  const axis = { stroke: ink, font, ticks: { show: false } };
  const incrs = options.unit && valueSteps[options.unit];
  const stacked = options.kind === "stack";
  return {
    ...size,
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: "time", scales: ["x", null] },
      y: false,
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
    },
    scales: {
      x: { time: true },
      y: {
        range: (
          /** @type {unknown} */ _self,
          /** @type {number} */ _min,
          /** @type {number | null} */ max,
        ) => [
          0,
          Math.max(options.topMin, (max ?? 0) * 1.12),
        ],
      },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, gap: 6, space: 46, incrs: timeSteps, values: clockLabels },
      {
        ...axis,
        grid,
        incrs,
        size: 52,
        gap: 6,
        space: 34,
        values: (/** @type {unknown} */ _self, /** @type {number[]} */ splits) =>
          splits.map((value) => value === 0 ? "0" : options.format(value)),
      },
    ],
    series: [
      {},
      ...shown.map(({ label }, index) => ({
        label,
        stroke: colours[index],
        width: stacked ? 1.25 : 1.6,
        points: { show: false, size: 5, width: 0, fill: colours[index], filter: onlyIsolated },
        // A line through a gap would claim what nobody has measured.
        spanGaps: false,
        // The lowest area of a stack reaches down to zero; the others are bands between two lines.
        fill: stacked && index === 0
          ? withAlpha(colours[index], 0.28)
          : shown.length === 1
          ? withAlpha(colours[index], 0.14)
          : undefined,
      })),
    ],
    bands: stacked
      ? shown.slice(1).map((_column, index) => ({
        series: [index + 2, index + 1],
        fill: withAlpha(colours[index + 1], 0.28),
      }))
      : [],
    hooks: hooksOf(options.feed, setCursor),
  };
}

/** A value alone between gaps has no line, so it is a point. @param {any} self uPlot @param {number} series */
function onlyIsolated(self, series) {
  const indexes = isolatedPoints(self.data[series]);
  return indexes.length > 0 ? indexes : null;
}

/**
 * @param {import("./feed.js").Feed} feed
 * @param {(self: unknown) => void} setCursor
 */
function hooksOf(feed, setCursor) {
  return {
    setCursor: [setCursor],
    setSelect: [(/** @type {any} */ self) => zoomTo(self, feed)],
    draw: [(/** @type {any} */ self) => drawMarks(self, feed.marks())],
  };
}

/**
 * Dragged over: all charts show that time.
 * @param {any} self uPlot
 * @param {import("./feed.js").Feed} feed
 */
function zoomTo(self, feed) {
  const { left, width } = self.select;
  if (width < 4) return;
  const [fromMs, toMs] = [left, left + width].map((x) => self.posToVal(x, "x") * 1000);
  self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  feed.zoom(fromMs, toMs);
}

/**
 * A thin line for each, with a wedge on top: also who can't tell the colours apart sees which are failures.
 * @param {any} self uPlot
 * @param {import("./marks.js").Mark[]} marks
 */
function drawMarks(self, marks) {
  const { ctx, bbox } = self;
  const size = 4 * devicePixelRatio;
  const [bad, good] = ["var(--bad)", "var(--accent)"].map(resolveColour);
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const { atMs, isBad } of marks) {
    const x = self.valToPos(atMs / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = isBad ? bad : good;
    ctx.globalAlpha = 0.6;
    ctx.setLineDash(isBad ? [] : [size, size]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.beginPath();
    // Failures point down, deploys up.
    const [base, tip] = isBad ? [0, size * 1.6] : [size * 1.6, 0];
    ctx.moveTo(x - size, bbox.top + base);
    ctx.lineTo(x + size, bbox.top + base);
    ctx.lineTo(x, bbox.top + tip);
    ctx.fill();
  }
  ctx.restore();
}

/**
 * Times by the clock; the day where the distance between two labels is half a day or more.
 * @param {unknown} _self
 * @param {number[]} splits seconds
 */
function clockLabels(_self, splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 60;
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    if (step >= 43_200) return at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
    return `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
  });
}
