// @ts-check
/** The few numbers that matter, large, each with its last minutes. */
import { h, keyedList, setAttribute, setStyle } from "./dom.js";
import { formatMs, formatNumber, formatShare, plural } from "./format.js";
import { bridgeGaps, sumColumns } from "./history.js";
import { agentState, createTile, linkTo } from "./parts.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 * @typedef {import("./history.js").History} History
 */

const facesMax = 10;

/**
 * @param {App} app
 * @param {Record<"requests" | "latency" | "queue" | "errors", { history: History }>} charts whose data the lines share
 */
export function createTiles(app, charts) {
  const requests = createTile("Requests", { colour: "var(--accent)", topMin: 1 });
  const latency = createTile("Latency p95", { colour: "var(--p95)", topMin: 5 });
  const queued = createTile("Queued", { colour: "var(--series-1)", topMin: 4 });
  const errors = createTile("Errors", { colour: "var(--bad)", topMin: 0.5 });
  const agents = createTile("Agents", null);
  const faces = h("ul", { class: "faces" });
  const faceList = keyedList(
    faces,
    (/** @type {AgentView} */ agent) => agent.name,
    (agent) => createFace(app, agent),
  );
  agents.element.append(faces);
  const all = [requests, latency, queued, errors, agents];
  return {
    element: h("section", { class: "tiles", "aria-label": "Now" }, ...all.map(({ element }) => element)),
    /** @param {OverviewView} overview */
    update({ cluster, agents: list, replicaSets }) {
      const past = app.feed.isPast();
      requests.update({
        value: formatNumber(cluster.requestsPerSecond),
        unit: "/s",
        note: past ? "on average in this time" : `${plural(cluster.outstanding, "request")} running now`,
        values: recent(charts.requests.history),
      });
      const percentile = (/** @type {string} */ label) => formatMs(newest(charts.latency.history, label));
      const [value, unit] = percentile("p95").split(" ");
      latency.update({
        value,
        unit: unit ? ` ${unit}` : "",
        note: unit ? `p50 ${percentile("p50")} · p99 ${percentile("p99")}` : "no requests lately",
        values: bridged(charts.latency.history, "p95", app.feed.gapMsMax()),
      });
      const waiting = replicaSets.filter(({ queued }) => queued > 0);
      queued.update({
        value: formatNumber(cluster.queued),
        note: waiting.length === 0
          ? "nothing waits"
          : `for ${waiting.map(({ name }) => name).slice(0, 3).join(", ")}`,
        values: recent(charts.queue.history),
      });
      const share = cluster.requestsPerSecond > 0 ? cluster.errorsPerSecond / cluster.requestsPerSecond : 0;
      errors.update({
        value: formatNumber(cluster.errorsPerSecond),
        unit: "/s",
        note: share > 0 ? `${formatShare(share)} of requests` : "none",
        level: share > 0.05 ? "bad" : share > 0 ? "warn" : undefined,
        values: recent(charts.errors.history),
      });
      const ready = list.filter(({ health }) => health === "ready").length;
      const slots = list.reduce((sum, agent) => sum + (agent.health === "ready" ? agent.slots : 0), 0);
      agents.update({
        value: String(ready),
        unit: `/${list.length}`,
        note: ready < list.length
          ? `${list.length - ready} not ready`
          : past
          ? "at the end of this time"
          : `${plural(slots, "slot")} in all`,
        level: ready < list.length ? "warn" : undefined,
      });
      // Where not all fit, those that need a look come first.
      const faces = byName(list).sort((a, b) => Number(a.health === "ready") - Number(b.health === "ready"));
      faceList.update(list.length > facesMax ? faces.slice(0, facesMax) : byName(list));
    },
  };
}

/** @param {AgentView[]} agents */
export function byName(agents) {
  return [...agents].sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * An agent as a small squished shape: its colour while it is there, an outline when it is lost.
 * @param {App} app
 * @param {AgentView} agent
 */
function createFace(app, { name }) {
  const link = h("a", { class: "face", href: linkTo("agents", name) });
  setStyle(link, "--face", app.palette.of("agent", name));
  return {
    element: h("li", {}, link),
    /** @param {AgentView} now */
    update(now) {
      const state = agentState(now);
      setAttribute(link, "data-health", state);
      setAttribute(link, "aria-label", `${name} is ${state}`);
      setAttribute(link, "title", `${name} is ${state}`);
    },
  };
}

/**
 * The last points of a history: of one column, or of all together.
 * @param {History} history
 * @param {string} [label]
 */
function recent(history, label) {
  const count = 90;
  if (label !== undefined) return (history.columns.get(label) ?? []).slice(-count);
  const tails = [...history.columns.values()].map((values) => ({ values: values.slice(-count) }));
  // All series that are summed are counts: nothing recorded means nothing happened.
  return sumColumns(tails, Math.min(count, history.timesMs.length)).map((sum) => sum ?? 0);
}

/**
 * The same, with a line over short gaps.
 * @param {History} history
 * @param {string} label
 * @param {number} gapMsMax
 */
function bridged(history, label, gapMsMax) {
  const values = recent(history, label);
  return bridgeGaps(values, history.timesMs.slice(-values.length), gapMsMax);
}

/**
 * @param {History} history
 * @param {string} label
 */
function newest(history, label) {
  const values = history.columns.get(label) ?? [];
  for (let index = values.length - 1; index >= Math.max(0, values.length - 60); index--) {
    if (values[index] !== null) return values[index];
  }
  return null;
}
