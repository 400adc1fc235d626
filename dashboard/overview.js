// @ts-check
/** The first view: is the cluster well, in words; the few numbers that matter; their recent past; who does what. */
import { createNoAgents } from "./agent_dialogs.js";
import { createAgentOrder } from "./agent_order.js";
import { createChart } from "./charts.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { createEventLine } from "./events.js";
import {
  formatBytes,
  formatMs,
  formatNumber,
  formatShare,
  formatSlots,
  formatTemperature,
  formatTime,
  plural,
} from "./format.js";
import {
  agentState,
  createMeter,
  createPips,
  createStatus,
  hostOf,
  levelOf,
  linkTo,
  nameTag,
} from "./parts.js";
import { createManagerCard } from "./manager_card.js";
import { createRolloutBar } from "./replicasets.js";
import { isUnderWay } from "./rollout_facts.js";
import { createTiles } from "./tiles.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 */

const percentileOrder = ["p99", "p95", "p50"];
/** @type {Record<string, string>} */
const percentileColours = { p50: "var(--p50)", p95: "var(--p95)", p99: "var(--p99)" };
const eventsShown = 9;
const pastShown = 30;

/** Options of a latency chart, here and on an endpoint's own page. */
export const latencyChart = {
  title: "Latency",
  note: "queue and run",
  kind: /** @type {const} */ ("lines"),
  format: formatMs,
  topMin: 5,
  bridges: true,
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
  const manager = createManagerCard(app);
  const lower = h(
    "div",
    { class: "lower" },
    h("div", { class: "stack" }, agents.element, manager.element),
    activity.element,
  );
  const element = h("div", { class: "overview" }, health.element, tiles.element, grid, lower);
  return {
    element,
    update(overview) {
      health.update(overview, app.feed);
      for (const chart of Object.values(charts)) chart.update();
      tiles.update(overview);
      manager.update(overview);
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
  const chart = (series, options) => createChart({ ...options, feed, series });
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
    /** @param {OverviewView} overview @param {import("./feed.js").Feed} feed */
    update({ cluster, agents, endpoints, replicaSets }, feed) {
      const ready = agents.filter(({ health }) => health === "ready").length;
      const rollouts = replicaSets.filter(({ rollout }) => isUnderWay(rollout)).length;
      const opening = feed.isPast()
        ? `At ${formatTime(feed.atMs(), feed.nowMs())}`
        : { ok: "All is well.", degraded: "Needs a look.", down: "Not serving." }[cluster.health];
      const facts = [
        ready === agents.length
          ? `${plural(ready, "agent")} ready`
          : `${ready} of ${plural(agents.length, "agent")} ready`,
        !feed.isPast() && plural(endpoints.length, "endpoint"),
        rollouts > 0 && `${plural(rollouts, "rollout")} under way`,
      ].filter(Boolean).join(", ");
      setAttribute(element, "data-level", levelOf(cluster.health));
      setText(line, `${opening} ${facts}.`);
      list.update([
        ...cluster.problems,
        ...cluster.configurationErrors.map((text) => `The configuration file was refused: ${text}`),
      ]);
      setVisible(problems, problems.childElementCount > 0);
    },
  };
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
  /** @type {AgentView[]} */
  let agents = [];
  const order = createAgentOrder(() => list.update(order.sort(agents)));
  const title = h("h3", {}, h("a", { href: linkTo("agents") }, "Agents"));
  const heading = h("div", { class: "toolbar" }, title, order.element);
  const element = h("section", { class: "card panel" }, heading, rows, none);
  return {
    element,
    /** @param {AgentView[]} now */
    update(now) {
      agents = now;
      setVisible(none, agents.length === 0);
      setVisible(order.element, agents.length > 1);
      list.update(order.sort(agents));
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
      const isGone = now.health === "lost";
      const host = hostOf(now);
      const state = agentState(now);
      status.update(state, now.cordoned && state === "ready" ? "cordoned" : state);
      cpu.update(host?.cpu, formatShare(host?.cpu));
      memory.update(host && host.memoryUsedBytes / host.memoryTotalBytes, formatBytes(host?.memoryUsedBytes));
      setText(heat, host?.temperatureC === undefined ? "" : formatTemperature(host.temperatureC));
      if (isGone) pips.update(0, 0, "not connected");
      else pips.update(now.outstanding, now.slots, formatSlots(now.outstanding, now.slots));
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
      // Of a past time there are none: `replicaSets` of then have no rollout.
      rolloutList.update(replicaSets.filter(({ rollout }) => isUnderWay(rollout)));
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
