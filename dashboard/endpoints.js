// @ts-check
/** What can be invoked: a sortable table of every endpoint, and a page for one with its history and the try-out box. */
import { showFacts } from "./agents.js";
import { createChart } from "./charts.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { formatCount, formatMs, formatNumber } from "./format.js";
import { latencyChart } from "./overview.js";
import { emptyState, linkTo, nameTag } from "./parts.js";
import { createRequests } from "./requests.js";
import { createSparkline } from "./sparkline.js";
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
  { title: "Ready", key: "readyReplicas", show: (view) => String(view.readyReplicas) },
  { title: "Total", key: "totalRequests", show: (view) => formatCount(view.totalRequests) },
];

/** Rows that jump each second can't be read: an order by moving numbers is renewed this often. */
const resortMs = 5000;

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createEndpoints(app) {
  /** @type {{ key: keyof EndpointView, down: boolean }} */
  let order = { key: "endpoint", down: false };
  /** @type {string[]} */
  let sortedNames = [];
  let sortedAt = -Infinity;
  /** @type {EndpointView[]} */
  let views = [];

  const history = app.feed.bind("requests", undefined, () => {});
  const body = h("tbody");
  const list = keyedList(
    body,
    (/** @type {EndpointView} */ view) => view.endpoint,
    (view) => createRow(app, view, history.history),
  );
  const search = h("input", {
    type: "search",
    placeholder: "Filter endpoints",
    "aria-label": "Filter endpoints",
  });
  search.addEventListener("input", () => show());
  const headings = [
    { title: "Endpoint", key: /** @type {keyof EndpointView} */ ("endpoint") },
    null,
    ...numberColumns,
  ].map((column) =>
    column ? createHeading(column) : { element: h("th", { class: "spark-cell" }), show() {} }
  );

  /** @param {{ title: string, key: keyof EndpointView }} column */
  function createHeading({ title, key }) {
    const click = () => {
      order = { key, down: order.key === key ? !order.down : key !== "endpoint" };
      sortedAt = -Infinity;
      show();
    };
    const button = h("button", { type: "button", class: "sort", on: { click } }, title);
    const element = h("th", { scope: "col", class: key === "endpoint" ? "" : "number" }, button);
    return {
      element,
      show() {
        setAttribute(
          element,
          "aria-sort",
          order.key === key ? order.down ? "descending" : "ascending" : null,
        );
      },
    };
  }

  const table = h(
    "table",
    { class: "endpoint-table" },
    h("thead", {}, h("tr", {}, ...headings.map((x) => x.element))),
    body,
  );
  const none = emptyState(
    "No endpoints",
    "An endpoint is a function that a module exports. It shows up here when an agent has loaded it.",
    ["./client deploy hello.ts --name hello --version 1.0.0"],
  );
  const card = h("section", { class: "card panel" }, h("div", { class: "scroll" }, table), none);
  const element = h("div", { class: "endpoints" }, h("div", { class: "toolbar" }, search), card);

  function show() {
    const words = search.value.trim().toLowerCase();
    if (performance.now() - sortedAt > resortMs) {
      sortedAt = performance.now();
      sortedNames = [...views].sort((a, b) => compare(a, b, order)).map(({ endpoint }) => endpoint);
    }
    const ranks = new Map(sortedNames.map((name, rank) => [name, rank]));
    const rank = (/** @type {EndpointView} */ view) => ranks.get(view.endpoint) ?? Infinity;
    const shown = views.filter(({ endpoint, description }) =>
      `${endpoint} ${description ?? ""}`.toLowerCase().includes(words)
    ).sort((a, b) => rank(a) - rank(b));
    for (const heading of headings) heading.show();
    list.update(shown);
    setVisible(none, shown.length === 0);
    setVisible(table, shown.length > 0);
  }

  return {
    element,
    update(overview) {
      views = overview.endpoints;
      show();
    },
    close: () => history.close(),
  };
}

/**
 * @param {EndpointView} a
 * @param {EndpointView} b
 * @param {{ key: keyof EndpointView, down: boolean }} order missing values come last
 */
function compare(a, b, { key, down }) {
  const [left, right] = [a[key], b[key]];
  const byName = a.endpoint < b.endpoint ? -1 : 1;
  if (typeof left === "string" || typeof right === "string") return down ? -byName : byName;
  const difference = Number(left ?? -1) - Number(right ?? -1);
  return (down ? -difference : difference) || byName;
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
  const body = h("div", { class: "stack" }, top, grid, requests.element);
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
      showFacts(facts, endpointFacts(view, overview.replicaSets));
      for (const chart of charts) chart.update();
      requests.update();
      if (!tryOut && app.may.invoke(endpoint)) body.append((tryOut = createTryOut(view)).element);
    },
    close() {
      for (const chart of charts) chart.close();
      tryOut?.close();
    },
  };
}

/**
 * @param {App} app
 * @param {string} endpoint
 */
function createEndpointCharts(app, endpoint) {
  const { feed, palette } = app;
  /** @type {(series: string, options: any) => ReturnType<typeof createChart>} */
  const chart = (series, options) => {
    const made = createChart({
      ...options,
      feed,
      bind: () => feed.bind(series, endpoint, () => made.update()),
    });
    return made;
  };
  const rate = { kind: "stack", format: formatNumber, topMin: 1, note: "per second" };
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
    chart("revisionRequests", {
      ...rate,
      title: "Runs by revision",
      colourOf: revisionColour,
      empty: "No runs in this time.",
    }),
    chart("revisionLatency", {
      title: "Run time by revision",
      note: "p95",
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
  return `${set?.outstanding ?? 0} of ${slots} in use${adaptive}`;
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
