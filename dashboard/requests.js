// @ts-check
/** The slowest and the failed requests of an endpoint in the last hour, each with where its time went. */
import { getRequests } from "./api.js";
import { h, setStyle, setVisible } from "./dom.js";
import { formatMs, formatTime } from "./format.js";
import { linkTo, nameTag } from "./parts.js";

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
  const slowest = createTable("Slowest of the last hour", "Where its time went");
  const failed = createTable("Failed in the last hour", "What it said");
  let polledAt = -Infinity;

  async function poll() {
    polledAt = performance.now();
    try {
      const answer = await getRequests(endpoint);
      slowest.show(answer.slowest.map((request) => createRow(app, request, timeBar(request))));
      failed.show(answer.failed.map((request) => createRow(app, request, failure(request))));
    } catch {
      // The mark beside the title says when the manager is away; the next poll tries again.
    }
  }

  return {
    element: h("div", { class: "stack" }, slowest.element, failed.element),
    update() {
      if (performance.now() - polledAt > pollMs) poll();
    },
  };
}

/**
 * @param {string} title
 * @param {string} last heading of the last column
 */
function createTable(title, last) {
  const body = h("tbody");
  const headings = ["When", "Agent", "Revision", "Request", "Total", last];
  const head = h("thead", {}, h("tr", {}, ...headings.map((text) => h("th", { scope: "col" }, text))));
  const table = h("div", { class: "scroll" }, h("table", { class: "requests" }, head, body));
  const none = h("p", { class: "dim" }, "None.");
  return {
    element: h("section", { class: "card panel" }, h("h3", {}, title), table, none),
    /** @param {HTMLElement[]} rows */
    show(rows) {
      body.replaceChildren(...rows);
      setVisible(table, rows.length > 0);
      setVisible(none, rows.length === 0);
    },
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
    h("td", { class: "number" }, formatTime(atMs, app.feed.nowMs())),
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
