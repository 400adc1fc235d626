// @ts-check
/** The first view: is the cluster well, in words; the few numbers that matter; their recent past; who does what. */
import { createNoAgents } from "./agents.js";
import { createChart } from "./charts.js";
import { h, keyedList, setAttribute, setStyle, setText, setVisible } from "./dom.js";
import { createEventLine } from "./events.js";
import { formatBytes, formatMs, formatNumber, formatShare, formatTemperature, plural } from "./format.js";
import { sumColumns } from "./history.js";
import {
  agentState,
  createMeter,
  createPips,
  createStatus,
  createTile,
  levelOf,
  linkTo,
  nameTag,
} from "./parts.js";
import { createRolloutBar } from "./replicasets.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 * @typedef {import("./history.js").History} History
 */

const percentileOrder = ["p99", "p95", "p50"];
/** @type {Record<string, string>} */
const percentileColours = { p50: "var(--p50)", p95: "var(--p95)", p99: "var(--p99)" };
const eventsShown = 9;
const pastShown = 30;
const facesMax = 10;

/** Options of a latency chart, here and on an endpoint's own page. */
export const latencyChart = {
  title: "Latency",
  note: "queue and run",
  kind: /** @type {const} */ ("lines"),
  format: formatMs,
  topMin: 5,
  colourOf: (/** @type {string} */ label) => percentileColours[label] ?? "var(--p50)",
  order: (/** @type {string[]} */ labels) =>
    [...labels].sort((a, b) => percentileOrder.indexOf(a) - percentileOrder.indexOf(b)),
  empty: "No requests in this time.",
};

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createOverview(app) {
  const health = createHealthLine();
  const charts = createCharts(app);
  const tiles = createTiles(app, charts);
  const agents = createAgentStrip(app);
  const activity = createActivity(app);
  const grid = h("div", { class: "charts" }, ...Object.values(charts).map(({ element }) => element));
  const lower = h("div", { class: "lower" }, agents.element, activity.element);
  const element = h("div", { class: "overview" }, health.element, tiles.element, grid, lower);
  return {
    element,
    update(overview) {
      health.update(overview);
      for (const chart of Object.values(charts)) chart.update();
      tiles.update(overview);
      agents.update(overview.agents);
      activity.update(overview);
    },
    close() {
      for (const chart of Object.values(charts)) chart.close();
    },
  };
}

/** @param {App} app */
function createCharts(app) {
  const { feed, palette } = app;
  /** @type {(series: string, options: any) => ReturnType<typeof createChart>} */
  const chart = (series, options) => {
    const made = createChart({
      ...options,
      feed,
      bind: () => feed.bind(series, undefined, () => made.update()),
    });
    return made;
  };
  const rate = {
    note: "per second, by endpoint",
    kind: "stack",
    format: formatNumber,
    topMin: 1,
    hideZeros: true,
    colourOf: (/** @type {string} */ label) => palette.of("endpoint", label),
  };
  const bySet = (/** @type {string} */ label) => palette.of("replicaSet", label);
  const byAgent = (/** @type {string} */ label) => palette.of("agent", label);
  const calm = "Nothing yet.";
  return {
    requests: chart("requests", {
      title: "Requests",
      ...rate,
      smoothing: feed.smoothing,
      empty: "No requests in this time.",
    }),
    latency: chart("latency", latencyChart),
    cpu: chart("cpu", {
      title: "CPU",
      note: "by agent",
      kind: "lines",
      format: formatShare,
      topMin: 0.2,
      colourOf: byAgent,
      empty: calm,
    }),
    queue: chart("queue", {
      title: "Queue",
      note: "requests waiting, by replicaSet",
      kind: "stack",
      format: formatNumber,
      unit: "things",
      topMin: 4,
      hideZeros: true,
      colourOf: bySet,
      empty: "Nothing has waited in this time.",
    }),
    errors: chart("errors", {
      title: "Errors",
      ...rate,
      empty: "No errors in this time.",
    }),
    memory: chart("memory", {
      title: "Memory",
      note: "by agent",
      kind: "lines",
      format: formatBytes,
      topMin: 2 ** 28,
      unit: "bytes",
      colourOf: byAgent,
      empty: calm,
    }),
  };
}

function createHealthLine() {
  const line = h("span", { class: "health-words" });
  const problems = h("ul", { class: "problems" });
  const list = keyedList(
    problems,
    (/** @type {string} */ text) => text,
    (text) => ({ element: h("li", {}, text), update() {} }),
  );
  const element = h(
    "section",
    { class: "health", "aria-live": "polite" },
    h("span", { class: "dot" }),
    line,
    problems,
  );
  return {
    element,
    /** @param {OverviewView} overview */
    update({ cluster, agents, endpoints, replicaSets }) {
      const ready = agents.filter(({ health }) => health === "ready").length;
      const rollouts = replicaSets.filter(({ rollout }) => rollout?.state === "progressing").length;
      const opening = { ok: "All is well", degraded: "Needs a look", down: "Not serving" }[cluster.health];
      const facts = [
        ready === agents.length
          ? `${plural(ready, "agent")} ready`
          : `${ready} of ${plural(agents.length, "agent")} ready`,
        plural(endpoints.length, "endpoint"),
        rollouts > 0 && `${plural(rollouts, "rollout")} under way`,
      ].filter(Boolean).join(", ");
      setAttribute(element, "data-level", levelOf(cluster.health));
      setText(line, `${opening}. ${facts}.`);
      list.update([
        ...cluster.problems,
        ...cluster.configurationErrors.map((text) => `The configuration file was refused: ${text}`),
      ]);
      setVisible(problems, problems.childElementCount > 0);
    },
  };
}

/**
 * @param {App} app
 * @param {ReturnType<typeof createCharts>} charts
 */
function createTiles(app, charts) {
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
      requests.update({
        value: formatNumber(cluster.requestsPerSecond),
        unit: "/s",
        note: `${plural(cluster.outstanding, "request")} running now`,
        values: recent(charts.requests.history),
      });
      const percentile = (/** @type {string} */ label) => formatMs(newest(charts.latency.history, label));
      const [value, unit] = percentile("p95").split(" ");
      latency.update({
        value,
        unit: unit ? ` ${unit}` : "",
        note: unit ? `p50 ${percentile("p50")} · p99 ${percentile("p99")}` : "no requests lately",
        values: recent(charts.latency.history, "p95"),
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
        note: ready === list.length ? `${plural(slots, "slot")} in all` : `${list.length - ready} not ready`,
        level: ready < list.length ? "warn" : undefined,
      });
      // Where not all fit, those that need a look come first.
      const faces = byName(list).sort((a, b) => Number(a.health === "ready") - Number(b.health === "ready"));
      faceList.update(list.length > facesMax ? faces.slice(0, facesMax) : byName(list));
    },
  };
}

/** @param {AgentView[]} agents */
function byName(agents) {
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

/** @param {App} app */
function createAgentStrip(app) {
  const rows = h("ul", { class: "agent-rows" });
  const list = keyedList(
    rows,
    (/** @type {AgentView} */ agent) => agent.name,
    (agent) => createAgentRow(app, agent),
  );
  const none = createNoAgents(app);
  const heading = h("h3", {}, h("a", { href: linkTo("agents") }, "Agents"));
  const element = h("section", { class: "card panel" }, heading, rows, none);
  return {
    element,
    /** @param {AgentView[]} agents */
    update(agents) {
      setVisible(none, agents.length === 0);
      list.update(byName(agents));
    },
  };
}

/**
 * @param {App} app
 * @param {AgentView} agent
 */
function createAgentRow(app, agent) {
  const status = createStatus();
  const cpu = createMeter("cpu");
  const memory = createMeter("mem");
  const pips = createPips();
  const heat = h("span", { class: "dim number" });
  const tag = nameTag(app, "agent", agent.name, linkTo("agents", agent.name));
  return {
    element: h("li", {}, tag, status.element, cpu.element, memory.element, heat, pips.element),
    /** @param {AgentView} now */
    update(now) {
      // What a lost agent said last is not what it does now.
      const host = now.health === "lost" ? undefined : now.host;
      const state = agentState(now);
      status.update(state, now.cordoned && state === "ready" ? "cordoned" : state);
      cpu.update(host?.cpu, formatShare(host?.cpu));
      memory.update(host && host.memoryUsedBytes / host.memoryTotalBytes, formatBytes(host?.memoryUsedBytes));
      setText(heat, host?.temperatureC === undefined ? "" : formatTemperature(host.temperatureC));
      pips.update(now.outstanding, now.slots, `${now.outstanding} of ${plural(now.slots, "slot")} in use`);
    },
  };
}

/** Rollouts under way, then the newest events. @param {App} app */
function createActivity(app) {
  const rollouts = h("div", { class: "rollouts" });
  const lines = h("ul", { class: "event-lines" });
  const none = h("p", { class: "dim" }, "Nothing has happened.");
  /** @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView */
  const rolloutList = keyedList(rollouts, (/** @type {ReplicaSetView} */ set) => set.name, (set) => {
    const bar = createRolloutBar();
    const tag = nameTag(app, "replicaSet", set.name, linkTo("replicasets", set.name));
    return {
      element: h("div", { class: "rollout-row" }, tag, bar.element),
      update: (/** @type {ReplicaSetView} */ now) => bar.update(now.rollout),
    };
  });
  const list = keyedList(
    lines,
    (/** @type {any} */ event) => String(event.id),
    () => createEventLine(app, true),
  );
  const link = h("a", { href: linkTo("events") });
  const heading = h("h3", {}, link);
  return {
    element: h("section", { class: "card panel" }, heading, rollouts, lines, none),
    /** @param {OverviewView} overview */
    update({ replicaSets, events }) {
      rolloutList.update(replicaSets.filter(({ rollout }) => rollout?.state === "progressing"));
      const past = app.feed.pastEvents();
      const shown = (past ?? [...events].sort((a, b) => b.id - a.id)).slice(
        0,
        past ? pastShown : eventsShown,
      );
      setText(link, past ? "Events of this time" : "Events");
      list.update(shown);
      setVisible(none, shown.length === 0);
    },
  };
}
