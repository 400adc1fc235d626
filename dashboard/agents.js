// @ts-check
/** The machines: a card each with health, load and replicas, and a page for one with its history. */
import { askCordon, askDrain, askRemove, askToken, createNoAgents } from "./agent_dialogs.js";
import { createAgentOrder } from "./agent_order.js";
import { createChart } from "./charts.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { createEventLine } from "./events.js";
import {
  formatAge,
  formatBytes,
  formatDuration,
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
  createReplicaChips,
  createStatus,
  emptyState,
  hostOf,
  linkTo,
  nameTag,
  notRecorded,
  showFacts,
} from "./parts.js";
import { createPlacements } from "./placements.js";
import { createSparkline } from "./sparkline.js";
import { createWordFilter } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 */

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createAgents(app) {
  const cards = h("div", { class: "agent-cards" });
  const history = app.feed.bind("cpu", undefined, () => {});
  const nameOf = (/** @type {AgentView} */ agent) => agent.name;
  const list = keyedList(cards, nameOf, (agent) => createAgentCard(app, agent, history.history));
  const order = createAgentOrder(() => show());
  const filter = createWordFilter("Filter agents", () => show());
  const none = createNoAgents(app);
  const noMatch = h("p", { class: "dim" }, "No agent matches.");
  const add = h("button", { type: "button", on: { click: askToken } }, "Add a machine");
  /** @type {AgentView[]} */
  let agents = [];

  function show() {
    const shown = agents.filter(({ name, health, labels }) =>
      filter.matches(`${name} ${health} ${Object.entries(labels).map((pair) => pair.join("=")).join(" ")}`)
    );
    list.update(order.sort(shown));
    setVisible(none, agents.length === 0);
    setVisible(noMatch, agents.length > 0 && shown.length === 0);
  }

  const toolbar = h("div", { class: "toolbar" }, filter.element, order.element);
  return {
    element: h("div", { class: "agents" }, toolbar, cards, none, noMatch),
    actions: app.session.role === "admin" ? add : undefined,
    update(overview) {
      agents = overview.agents;
      show();
    },
    close: () => history.close(),
  };
}

/** @param {AgentView} agent */
function slotWords({ outstanding, slots, replicas }) {
  if (slots === 0) return `${plural(outstanding, "request")} running`;
  const adaptive = replicas.some((replica) => replica.adaptive) ? ", adaptive" : "";
  return formatSlots(outstanding, slots) + adaptive;
}

/**
 * @param {App} app
 * @param {AgentView} agent
 * @param {import("./history.js").History} history CPU by agent
 */
function createAgentCard(app, agent, history) {
  const status = createStatus();
  const spark = createSparkline({
    width: 132,
    height: 36,
    colour: app.palette.of("agent", agent.name),
    topMin: 0.25,
  });
  const [cpu, memory] = [createMeter("CPU"), createMeter("Memory")];
  const pips = createPips();
  const slots = h("span", { class: "dim" });
  const facts = h("p", { class: "agent-facts dim" });
  const chips = createReplicaChips(app);
  const name = h("h2", {}, nameTag(app, "agent", agent.name, linkTo("agents", agent.name)));
  const head = h("div", { class: "agent-head" }, name, status.element, spark.element);
  const slotRow = h("div", { class: "slot-row" }, pips.element, slots);
  const element = h("section", { class: "card agent", "aria-label": agent.name }, head, facts, cpu.element);
  const unknown = h("p", { class: "dim" }, `Replicas: ${notRecorded}`);
  element.append(memory.element, slotRow, chips.element, unknown);
  return {
    element,
    /** @param {AgentView} now */
    update(now) {
      const { health } = now;
      const isPast = app.feed.isPast();
      const host = hostOf(now);
      setAttribute(element, "data-health", health);
      status.update(agentState(now), healthWords(now, app.feed.atMs()));
      spark.update((history.columns.get(now.name) ?? []).slice(-90));
      cpu.update(host?.cpu, formatShare(host?.cpu));
      memory.update(host && host.memoryUsedBytes / host.memoryTotalBytes, memoryWords(host));
      const isGone = health === "lost";
      pips.update(
        isGone ? 0 : now.outstanding,
        isGone ? 0 : now.slots,
        isGone ? "not connected" : slotWords(now),
      );
      setText(slots, isGone ? "" : slotWords(now));
      setText(facts, factWords(now, app.feed.nowMs(), isPast).join(" · "));
      chips.update(now.replicas);
      setVisible(unknown, isPast);
    },
  };
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 */
function healthWords({ health, damped, cordoned, draining, lastSeenAtMs }, nowMs) {
  if (health === "lost") return lastSeenAtMs > 0 ? `lost ${formatAge(lastSeenAtMs, nowMs)}` : "lost";
  const closed = draining ? "drained" : cordoned ? "cordoned" : null;
  return health === "ready" ? [damped && "damped", closed].filter(Boolean).join(", ") || health : health;
}

/** @param {AgentView["host"]} host */
function memoryWords(host) {
  if (!host) return "–";
  const total = Number.isNaN(host.memoryTotalBytes) ? "" : ` of ${formatBytes(host.memoryTotalBytes)}`;
  return `${formatBytes(host.memoryUsedBytes)}${total}`;
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 * @param {boolean} isPast
 */
function factWords(agent, nowMs, isPast) {
  const { labels } = agent;
  const host = hostOf(agent);
  return [
    agent.cores > 0 && plural(agent.cores, "core"),
    labels.arch,
    host?.temperatureC !== undefined && formatTemperature(host.temperatureC),
    host?.throttled && "throttled",
    !isPast && agent.connectedAtMs !== undefined && `up ${formatDuration(nowMs - agent.connectedAtMs)}`,
    agent.version && `agent ${agent.version}`,
  ].filter(Boolean);
}

/**
 * @param {App} app
 * @param {string} name
 * @returns {import("./parts.js").View}
 */
export function createAgent(app, name) {
  const status = createStatus();
  const facts = h("dl", { class: "facts" });
  const charts = createAgentCharts(app, name);
  const placements = createPlacements(app, { first: "replicaSet", name: "sort" });
  const noReplicas = h("p", { class: "dim" });
  const events = h("ul", { class: "event-lines" });
  const noEvents = h("p", { class: "dim" }, "Nothing lately.");
  const eventList = keyedList(
    events,
    (/** @type {any} */ event) => String(event.id),
    () => createEventLine(app, true),
  );
  const none = emptyState("Unknown agent", `No agent named ${name} has joined this cluster.`);
  /** @type {AgentView | undefined} */
  let agent;
  const press = () => agent && askCordon(agent);
  const cordonButton = app.may.operate && h("button", { type: "button", on: { click: press } });
  const drainButton = app.may.operate &&
    h("button", { type: "button", on: { click: () => agent && askDrain(agent) } }, "Drain");
  const removeButton = app.may.operate &&
    h("button", { type: "button", on: { click: () => agent && askRemove(agent) } }, "Forget");
  const actions = h("div", { class: "actions" }, cordonButton, drainButton, removeButton);
  const head = h("div", { class: "agent-head" }, status.element, actions);
  const top = h("section", { class: "card panel" }, head, facts);
  const replicas = h(
    "section",
    { class: "card panel" },
    h("h3", {}, "Replicas"),
    placements.element,
    noReplicas,
  );
  const eventPanel = h("section", { class: "card panel" }, h("h3", {}, "Events"), events, noEvents);
  const grid = h("div", { class: "charts two" }, ...charts.map(({ element }) => element));
  const body = h("div", { class: "stack" }, top, grid, replicas, eventPanel);
  return {
    element: h("div", { class: "agent-page" }, none, body),
    update(overview) {
      agent = overview.agents.find((candidate) => candidate.name === name);
      setVisible(none, !agent);
      setVisible(body, Boolean(agent));
      if (!agent) return;
      const nowMs = app.feed.atMs();
      const isPast = app.feed.isPast();
      status.update(agentState(agent), healthWords(agent, nowMs));
      showFacts(facts, isPast ? pastFacts(agent) : agentFacts(agent, nowMs));
      if (cordonButton) setText(cordonButton, agent.cordoned ? "Uncordon" : "Cordon");
      if (drainButton) setVisible(drainButton, !agent.draining && agent.health !== "lost");
      if (removeButton) setVisible(removeButton, agent.health === "lost");
      for (const chart of charts) chart.update();
      placements.update(agent.replicas);
      setVisible(noReplicas, agent.replicas.length === 0);
      setText(noReplicas, isPast ? `Replicas: ${notRecorded}.` : "No replica runs here.");
      const own = (app.feed.pastEvents() ?? overview.events).filter(({ subject }) => subject === name).sort((
        a,
        b,
      ) => b.id - a.id);
      eventList.update(own.slice(0, 20));
      setVisible(noEvents, own.length === 0);
    },
    close() {
      for (const chart of charts) chart.close();
      placements.close();
    },
  };
}

/**
 * @param {App} app
 * @param {string} name
 */
function createAgentCharts(app, name) {
  const { feed, palette } = app;
  const kinds = [
    { series: "cpu", title: "CPU", note: "of all cores", format: formatShare, topMin: 0.2 },
    {
      series: "memory",
      title: "Memory",
      note: "in use",
      format: formatBytes,
      topMin: 2 ** 28,
      unit: /** @type {const} */ ("bytes"),
    },
    {
      series: "outstanding",
      title: "Requests",
      note: "running at once",
      format: formatNumber,
      topMin: 2,
      unit: /** @type {const} */ ("things"),
    },
    { series: "temperature", title: "Temperature", note: "", format: formatTemperature, topMin: 60 },
  ];
  return kinds.map((kind) =>
    createChart({
      ...kind,
      kind: "lines",
      colourOf: () => palette.of("agent", name),
      empty: kind.series === "temperature" ? "This machine does not tell its temperature." : "Nothing yet.",
      feed,
      subject: name,
    })
  );
}

/** What history knows of it at the end of a time in the past. @param {AgentView} agent @returns {[string, string][]} */
function pastFacts(agent) {
  return [
    ["Requests", plural(agent.outstanding, "request")],
    ["CPU", agent.host ? formatShare(agent.host.cpu) : notRecorded],
    ["Memory", agent.host ? memoryWords(agent.host) : notRecorded],
    ["Temperature", formatTemperature(agent.host?.temperatureC)],
    ["Slots, address, version, labels", notRecorded],
  ];
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 * @returns {[string, string][]}
 */
function agentFacts(agent, nowMs) {
  const host = hostOf(agent);
  return [
    ["Slots", host ? slotWords(agent) : "–"],
    [
      "CPU",
      `${formatShare(host?.cpu)} of ${plural(agent.cores, "core")}, load ${host?.load1.toFixed(2) ?? "–"}`,
    ],
    ["Memory", memoryWords(host)],
    ["Temperature", `${formatTemperature(host?.temperatureC)}${host?.throttled ? ", throttled" : ""}`],
    [
      "Agent itself",
      host ? `${agent.agentCpuCores?.toFixed(2) ?? "–"} cores, ${formatBytes(agent.agentMemoryBytes)}` : "–",
    ],
    [
      "Connected",
      agent.connectedAtMs === undefined ? "no" : `for ${formatDuration(nowMs - agent.connectedAtMs)}`,
    ],
    ["Last heard", formatAge(agent.lastSeenAtMs, nowMs)],
    ["Losses", lossWords(agent, nowMs)],
    ["Address", agent.address || "–"],
    ["Version", agent.version],
    ["Labels", Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`).join("  ") || "none"],
  ];
}

/**
 * How often its connection was lost of late, by weight, and what follows from it.
 * @param {AgentView} agent
 * @param {number} nowMs
 */
function lossWords({ damped, flapPenalty }, nowMs) {
  if (flapPenalty === undefined) return "none lately";
  const weight = `weigh ${flapPenalty.toFixed(1)}`;
  return damped ? `${weight}; others are asked first until ${formatTime(damped.untilMs, nowMs)}` : weight;
}
