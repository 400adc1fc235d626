// @ts-check
/** What can be invoked: a sortable table of every endpoint, and a page for one with its history and the try-out box. */
import { createChart } from "./charts.js";
import { h, setAttribute, setText, setVisible } from "./dom.js";
import { formatCount, formatMs, formatNumber, formatSlots } from "./format.js";
import { latencyChart } from "./overview.js";
import { emptyState, linkTo, nameTag, notRecorded, showFacts } from "./parts.js";
import { createRequests } from "./requests.js";
import { createSparkline } from "./sparkline.js";
import { createTable, createWordFilter } from "./table.js";
import { createTryOut } from "./try_out.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").EndpointView} EndpointView
 * @typedef {{ title: string, key: keyof EndpointView, show(view: EndpointView): string }} NumberColumn
 */

/** @type {NumberColumn[]} */
const numberColumns = [
  { title: "Requests/s", key: "requestsPerSecond", show: (view) => formatNumber(view.requestsPerSecond) },
  { title: "Errors/s", key: "errorsPerSecond", show: (view) => formatNumber(view.errorsPerSecond) },
  { title: "p50", key: "p50Ms", show: (view) => formatMs(view.p50Ms) },
  { title: "p95", key: "p95Ms", show: (view) => formatMs(view.p95Ms) },
  { title: "p99", key: "p99Ms", show: (view) => formatMs(view.p99Ms) },
  { title: "Ready", key: "readyReplicas", show: (view) => formatCount(view.readyReplicas) },
  { title: "Total", key: "totalRequests", show: (view) => formatCount(view.totalRequests) },
];

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createEndpoints(app) {
  /** @type {EndpointView[]} */
  let views = [];
  const history = app.feed.bind("requests", undefined, () => {});
  const filter = createWordFilter("Filter endpoints", () => show());
  const table = createTable({
    label: "Endpoints",
    class: "endpoint-table",
    name: "sort",
    order: { key: "endpoint", down: false },
    columns: [
      { key: "endpoint", title: "Endpoint", by: (/** @type {EndpointView} */ view) => view.endpoint },
      { key: "shape", title: "", class: "spark-cell" },
      ...numberColumns.map(({ key, title }) => ({
        ...{ key, title, isNumber: true },
        by: (/** @type {EndpointView} */ view) => /** @type {number | undefined} */ (view[key]),
      })),
    ],
    keyOf: ({ endpoint }) => endpoint,
    createRow: (view) => createRow(app, view, history.history),
  });
  const none = emptyState(
    "No endpoints",
    "An endpoint is a function that a module exports. It shows up here when an agent has loaded it.",
    ["./client deploy hello.ts --name hello --version 1.0.0"],
  );
  const noMatch = h("p", { class: "dim" }, "No endpoint matches.");
  const card = h("section", { class: "card panel" }, table.element, none, noMatch);
  const element = h("div", { class: "endpoints" }, h("div", { class: "toolbar" }, filter.element), card);

  function show() {
    const shown = views.filter(({ endpoint, description }) =>
      filter.matches(`${endpoint} ${description ?? ""}`)
    );
    table.update(shown);
    setVisible(none, views.length === 0);
    setVisible(noMatch, views.length > 0 && shown.length === 0);
  }

  return {
    element,
    update(overview) {
      views = overview.endpoints;
      show();
    },
    close() {
      history.close();
      table.close();
    },
  };
}

/**
 * @param {App} app
 * @param {EndpointView} view
 * @param {import("./history.js").History} history requests by endpoint
 */
function createRow(app, view, history) {
  const spark = createSparkline({
    width: 96,
    height: 24,
    colour: app.palette.of("endpoint", view.endpoint),
    topMin: 1,
  });
  const description = h("span", { class: "description" });
  const tag = nameTag(app, "endpoint", view.endpoint, linkTo("endpoints", view.endpoint));
  const cells = numberColumns.map(({ key, title }) =>
    h("td", { class: "number", "data-column": key, "data-title": title })
  );
  const name = h("th", { scope: "row" }, tag, description);
  return {
    element: h("tr", {}, name, h("td", { class: "spark-cell" }, spark.element), ...cells),
    /** @param {EndpointView} now */
    update(now) {
      setText(description, now.description ?? "");
      spark.update((history.columns.get(now.endpoint) ?? []).slice(-90));
      numberColumns.forEach(({ show }, index) => setText(cells[index], show(now)));
      setAttribute(cells[1], "data-level", now.errorsPerSecond > 0 ? "bad" : null);
      setAttribute(cells[5], "data-level", now.readyReplicas === 0 ? "warn" : null);
    },
  };
}

/**
 * @param {App} app
 * @param {string} endpoint
 * @returns {import("./parts.js").View}
 */
export function createEndpoint(app, endpoint) {
  const description = h("p", { class: "lead" });
  const facts = h("dl", { class: "facts" });
  const charts = createEndpointCharts(app, endpoint);
  const none = emptyState("Unknown endpoint", `Nothing that is deployed exports ${endpoint}.`);
  const top = h("section", { class: "card panel" }, description, facts);
  const grid = h("div", { class: "charts" }, ...charts.map(({ element }) => element));
  const requests = createRequests(app, endpoint);
  const now = h("div", { class: "stack live-only" }, requests.element);
  const body = h("div", { class: "stack" }, top, grid, now);
  /** @type {ReturnType<typeof createTryOut> | null} */
  let tryOut = null;
  return {
    element: h("div", { class: "endpoint-page" }, none, body),
    update(overview) {
      const view = overview.endpoints.find((candidate) => candidate.endpoint === endpoint);
      setVisible(none, !view);
      setVisible(body, Boolean(view));
      if (!view) return;
      setText(description, view.description ?? "");
      setVisible(description, Boolean(view.description));
      const { replicaSets } = overview;
      showFacts(facts, app.feed.isPast() ? pastFacts(view) : endpointFacts(view, replicaSets));
      for (const chart of charts) chart.update();
      if (!app.feed.isPast()) requests.update();
      if (!tryOut && app.may.invoke(endpoint)) now.append((tryOut = createTryOut(view)).element);
    },
    close() {
      for (const chart of charts) chart.close();
      requests.close();
      tryOut?.close();
    },
  };
}

const rate = { kind: "stack", format: formatNumber, topMin: 1, note: "per second" };

/**
 * Makes charts of an endpoint's series.
 * @param {App} app
 * @param {string} endpoint
 * @returns {(series: string, options: any) => ReturnType<typeof createChart>}
 */
function chartsOf({ feed }, endpoint) {
  return (series, options) => createChart({ ...options, feed, series, subject: endpoint });
}

/**
 * @param {App} app
 * @param {string} endpoint
 */
function createEndpointCharts(app, endpoint) {
  const { feed, palette } = app;
  const chart = chartsOf(app, endpoint);
  const own = () => palette.of("endpoint", endpoint);
  return [
    chart("requests", {
      ...rate,
      smoothing: feed.smoothing,
      title: "Requests",
      colourOf: own,
      empty: "No requests in this time.",
    }),
    chart("latency", latencyChart),
    chart("errors", {
      ...rate,
      title: "Errors",
      colourOf: () => "var(--bad)",
      empty: "No errors in this time.",
    }),
    ...revisionCharts(app, endpoint),
  ];
}

/**
 * What each revision did with the requests of an endpoint.
 * @param {App} app
 * @param {string} endpoint
 */
export function revisionCharts(app, endpoint) {
  const chart = chartsOf(app, endpoint);
  return [
    chart("revisionRequests", {
      ...rate,
      title: "Runs by revision",
      colourOf: revisionColour,
      empty: "No runs in this time.",
    }),
    chart("revisionLatency", {
      title: "Run time by revision",
      note: "p95",
      bridges: true,
      kind: "lines",
      format: formatMs,
      topMin: 5,
      colourOf: revisionColour,
      empty: "No runs in this time.",
    }),
    chart("revisionErrors", {
      ...rate,
      kind: "lines",
      title: "Errors by revision",
      hideZeros: true,
      colourOf: revisionColour,
      empty: "No run failed in this time.",
    }),
  ];
}

/** Revisions that follow each other differ. @param {string} label "revision 3" */
function revisionColour(label) {
  return `var(--series-${Number(label.split(" ")[1] ?? 0) % 8})`;
}

/**
 * The slots that its replicaSet's ready replicas have together.
 * @param {EndpointView} view
 * @param {import("../lib/protocol/views.ts").ReplicaSetView[]} sets
 */
function slotsOf({ replicaSet }, sets) {
  const set = sets.find(({ name }) => name === replicaSet);
  const ready = set?.placements.filter(({ state }) => state === "ready") ?? [];
  const slots = ready.reduce((sum, replica) => sum + replica.slots, 0);
  const adaptive = ready.some((replica) => replica.adaptive) ? ", adaptive" : "";
  return formatSlots(set?.outstanding ?? 0, slots) + adaptive;
}

/** As many as of the present, so that they take each other's place. @param {EndpointView} view @returns {[string, string][]} */
function pastFacts(view) {
  return [
    ["Ready replicas", notRecorded],
    ["Slots", notRecorded],
    ["Requests", `${formatNumber(view.requestsPerSecond)}/s on average`],
    ["Errors", `${formatNumber(view.errorsPerSecond)}/s on average`],
    ["p50 · p95 · p99", [view.p50Ms, view.p95Ms, view.p99Ms].map(formatMs).join(" · ")],
    ["ReplicaSet", view.replicaSet],
    ["Timeout", notRecorded],
    ["Safe to run twice", notRecorded],
    ["Replies", notRecorded],
  ];
}

/**
 * @param {EndpointView} view
 * @param {import("../lib/protocol/views.ts").ReplicaSetView[]} sets
 * @returns {[string, string][]}
 */
function endpointFacts(view, sets) {
  return [
    ["Ready replicas", String(view.readyReplicas)],
    ["Slots", slotsOf(view, sets)],
    ["Requests", `${formatNumber(view.requestsPerSecond)}/s, ${formatCount(view.totalRequests)} in all`],
    ["Errors", `${formatNumber(view.errorsPerSecond)}/s, ${formatCount(view.totalErrors)} in all`],
    ["p50 · p95 · p99", [view.p50Ms, view.p95Ms, view.p99Ms].map(formatMs).join(" · ")],
    ["ReplicaSet", `${view.replicaSet} r${view.revision}`],
    ["Timeout", view.timeoutMs === undefined ? "of the replicaSet" : formatMs(view.timeoutMs)],
    ["Safe to run twice", view.idempotent ? "yes" : "no"],
    ["Replies", view.stream ? "a stream of parts" : "one reply"],
  ];
}
