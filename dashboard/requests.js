// @ts-check
/** The slowest and the failed requests of an endpoint in the last hour, each with where its time went. */
import { getRequests } from "./api.js";
import { h, setStyle, setVisible } from "./dom.js";
import { formatMs, formatTime } from "./format.js";
import { linkTo, nameTag } from "./parts.js";
import { createTable } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").RequestView} RequestView
 */

const pollMs = 5000;

/**
 * @param {App} app
 * @param {string} endpoint
 */
export function createRequests(app, endpoint) {
  const slowest = createList(app, "slowest", {
    title: "Slowest of the last hour",
    last: { key: "runMs", title: "Where its time went", by: ({ runMs }) => runMs },
    order: { key: "totalMs", down: true },
    describe: timeBar,
  });
  const failed = createList(app, "failed", {
    title: "Failed in the last hour",
    last: { key: "code", title: "What it said", by: ({ code }) => code },
    order: { key: "atMs", down: true },
    describe: failure,
  });
  let polledAt = -Infinity;

  async function poll() {
    polledAt = performance.now();
    try {
      const answer = await getRequests(endpoint);
      slowest.show(answer.slowest);
      failed.show(answer.failed);
    } catch {
      // The mark beside the title says when the manager is away; the next poll tries again.
    }
  }

  return {
    element: h("div", { class: "stack" }, slowest.element, failed.element),
    update() {
      if (performance.now() - polledAt > pollMs) poll();
    },
    close() {
      slowest.close();
      failed.close();
    },
  };
}

/**
 * @param {App} app
 * @param {string} name
 * @param {object} options
 * @param {string} options.title
 * @param {import("./table.js").Column<RequestView>} options.last
 * @param {import("./order.js").Order} options.order
 * @param {(request: RequestView) => HTMLElement} options.describe the last cell
 */
function createList(app, name, { title, last, order, describe }) {
  /** @type {import("./table.js").Column<RequestView>[]} */
  const columns = [
    { key: "atMs", title: "When", by: ({ atMs }) => atMs },
    { key: "agent", title: "Agent", by: ({ agent }) => agent },
    { key: "revision", title: "Revision", by: ({ revision }) => revision },
    { key: "request", title: "Request" },
    { key: "totalMs", title: "Total", by: ({ totalMs }) => totalMs, isNumber: true },
    last,
  ];
  const table = createTable({
    ...{ label: title, class: "requests", name: `sort.${name}`, order, columns },
    keyOf: ({ requestId }) => requestId,
    // What has ended does not change.
    createRow: (request) => ({ element: createRow(app, request, describe(request)), update() {} }),
  });
  const none = h("p", { class: "dim" }, "None.");
  return {
    element: h("section", { class: "card panel" }, h("h3", {}, title), table.element, none),
    /** @param {RequestView[]} requests */
    show(requests) {
      table.update(requests);
      setVisible(none, requests.length === 0);
    },
    close: table.close,
  };
}

/**
 * @param {App} app
 * @param {RequestView} request
 * @param {HTMLElement} last
 */
function createRow(app, { atMs, agent, revision, requestId, endpoint, totalMs }, last) {
  const [set] = endpoint.split("/");
  const id = app.may.operate
    ? h("a", { href: `${linkTo("logs", set)}?request=${requestId}`, title: "What it printed" }, requestId)
    : requestId;
  return h(
    "tr",
    {},
    h("td", {}, formatTime(atMs, app.feed.nowMs())),
    h("td", {}, agent === "" ? "none" : nameTag(app, "agent", agent, linkTo("agents", agent))),
    h("td", {}, revision === 0 ? "–" : `r${revision}`),
    h("td", { class: "request-id" }, id),
    h("td", { class: "number" }, formatMs(totalMs)),
    h("td", {}, last),
  );
}

/** Queue, run and way as parts of one bar, and in words. @param {RequestView} request */
function timeBar({ totalMs, queueMs, runMs = 0, networkMs = 0 }) {
  const parts = [["queue", queueMs], ["run", runMs], ["way", networkMs]];
  const words = parts.map(([name, ms]) => `${name} ${formatMs(/** @type {number} */ (ms))}`).join(" · ");
  const bar = h("span", { class: "time-bar", "aria-hidden": "true" });
  for (const [name, ms] of parts) {
    const part = h("span", { "data-part": name });
    setStyle(part, "flex-grow", String(Number(ms) / Math.max(totalMs, 0.01)));
    bar.append(part);
  }
  return h("span", { class: "time" }, bar, h("span", { class: "dim" }, words));
}

/** @param {RequestView} request */
function failure({ code, message }) {
  return h("span", {}, h("span", { class: "badge" }, code.replaceAll("_", " ")), ` ${message ?? ""}`);
}
