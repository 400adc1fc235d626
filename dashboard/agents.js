// @ts-check
/** The machines: a card each with health, load and replicas, and a page for one with its history. */
import { cordon, createAgentToken, drain, removeAgent } from "./api.js";
import { createChart } from "./charts.js";
import { ask } from "./dialogs.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { createEventLine } from "./events.js";
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatNumber,
  formatShare,
  formatTemperature,
  formatTime,
  plural,
} from "./format.js";
import {
  agentState,
  copyBox,
  createMeter,
  createPips,
  createReplicaChips,
  createStatus,
  emptyState,
  linkTo,
  nameTag,
} from "./parts.js";
import { createPlacements } from "./replicasets.js";
import { createSparkline } from "./sparkline.js";

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
  const list = keyedList(
    cards,
    (/** @type {AgentView} */ agent) => agent.name,
    (agent) => createAgentCard(app, agent, history.history),
  );
  const none = createNoAgents(app);
  const add = h("button", { type: "button", on: { click: askToken } }, "Add a machine");
  return {
    element: h("div", { class: "agents" }, cards, none),
    actions: app.session.role === "admin" ? add : undefined,
    update({ agents }) {
      setVisible(none, agents.length === 0);
      list.update([...agents].sort((a, b) => a.name.localeCompare(b.name)));
    },
    close: () => history.close(),
  };
}

/** What a cluster without machines shows instead of them. @param {App} app */
export function createNoAgents(app) {
  const text =
    "Make a join token, then run the second line on a machine that shall work. It is ready a second later.";
  const element = emptyState("No agents yet", text, ["./manager token agent", "./agent --join TOKEN"]);
  if (app.session.role === "admin") {
    element.append(
      h("button", { type: "button", class: "primary", on: { click: askToken } }, "Make the line for me"),
    );
  }
  return element;
}

function askToken() {
  ask({
    title: "Add a machine",
    text:
      "This makes a join token. Whoever has it can join as an agent, so pass it on as you would a password.",
    confirm: "Make a token",
    async act(show) {
      const token = await createAgentToken();
      show(
        h("p", {}, "Copy the agent to the machine and run this there:"),
        copyBox(`./agent --join ${token}`),
      );
      return null;
    },
  });
}

/** @param {AgentView} agent */
function askCordon({ name, cordoned }) {
  ask({
    title: cordoned ? `Let ${name} take replicas again?` : `Cordon ${name}?`,
    text: cordoned
      ? "New replicas may be placed there."
      : "It keeps what it runs, and takes no new replicas.",
    confirm: cordoned ? "Uncordon" : "Cordon",
    async act() {
      await cordon(name, !cordoned);
      return `${name} is ${cordoned ? "open for" : "closed to"} new replicas`;
    },
  });
}

/** @param {AgentView} agent */
function askDrain({ name, replicas }) {
  ask({
    title: `Drain ${name}?`,
    text: `Its ${plural(replicas.length, "replica")} move to other agents, and what runs there ends first.`,
    confirm: "Drain",
    async act() {
      const { warnings } = await drain(name);
      return [`${name} is drained`, ...warnings].join(". ");
    },
  });
}

/** @param {AgentView} agent */
function askRemove({ name }) {
  ask({
    title: `Forget ${name}?`,
    text: "It is lost. If it ever joins again, it is a new agent.",
    confirm: "Forget",
    async act() {
      await removeAgent(name);
      return `${name} is forgotten`;
    },
  });
}

/** @param {AgentView} agent */
function slotWords({ outstanding, slots, replicas }) {
  const adaptive = replicas.some((replica) => replica.adaptive) ? ", adaptive" : "";
  return `${outstanding} of ${plural(slots, "slot")} in use${adaptive}`;
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
  element.append(memory.element, slotRow, chips.element);
  return {
    element,
    /** @param {AgentView} now */
    update(now) {
      const { health } = now;
      // What a lost agent said last is not what it does now.
      const host = health === "lost" ? undefined : now.host;
      setAttribute(element, "data-health", health);
      status.update(agentState(now), healthWords(now, app.feed.nowMs()));
      spark.update((history.columns.get(now.name) ?? []).slice(-90));
      cpu.update(host?.cpu, formatShare(host?.cpu));
      memory.update(host && host.memoryUsedBytes / host.memoryTotalBytes, memoryWords(host));
      pips.update(now.outstanding, now.slots, slotWords(now));
      setText(slots, slotWords(now));
      setText(facts, factWords(now, app.feed.nowMs()).join(" · "));
      chips.update(now.replicas);
    },
  };
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 */
function healthWords({ health, damped, cordoned, draining, lastSeenAtMs }, nowMs) {
  if (health === "lost") return `lost ${formatAge(lastSeenAtMs, nowMs)}`;
  const closed = draining ? "drained" : cordoned ? "cordoned" : null;
  return health === "ready" ? [damped && "damped", closed].filter(Boolean).join(", ") || health : health;
}

/** @param {AgentView["host"]} host */
function memoryWords(host) {
  return host ? `${formatBytes(host.memoryUsedBytes)} of ${formatBytes(host.memoryTotalBytes)}` : "–";
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 */
function factWords(agent, nowMs) {
  const { host, labels } = agent;
  return [
    plural(agent.cores, "core"),
    labels.arch,
    agent.health !== "lost" && host?.temperatureC !== undefined && formatTemperature(host.temperatureC),
    host?.throttled && "throttled",
    agent.health !== "lost" && `up ${formatDuration(nowMs - agent.joinedAtMs)}`,
    `agent ${agent.version}`,
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
  const placements = createPlacements(app, "replicaSet");
  const noReplicas = h("p", { class: "dim" }, "No replica runs here.");
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
      const nowMs = app.feed.nowMs();
      status.update(agentState(agent), healthWords(agent, nowMs));
      showFacts(facts, agentFacts(agent, nowMs));
      if (cordonButton) setText(cordonButton, agent.cordoned ? "Uncordon" : "Cordon");
      if (drainButton) setVisible(drainButton, !agent.draining && agent.health !== "lost");
      if (removeButton) setVisible(removeButton, agent.health === "lost");
      for (const chart of charts) chart.update();
      placements.update(agent.replicas);
      setVisible(noReplicas, agent.replicas.length === 0);
      const own = overview.events.filter(({ subject }) => subject === name).sort((a, b) => b.id - a.id);
      eventList.update(own.slice(0, 20));
      setVisible(noEvents, own.length === 0);
    },
    close() {
      for (const chart of charts) chart.close();
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
  return kinds.map(({ series, ...options }) => {
    const chart = createChart({
      ...options,
      kind: "lines",
      colourOf: () => palette.of("agent", name),
      empty: series === "temperature" ? "This machine does not tell its temperature." : "Nothing yet.",
      feed,
      bind: () => feed.bind(series, name, () => chart.update()),
    });
    return chart;
  });
}

/**
 * @param {AgentView} agent
 * @param {number} nowMs
 * @returns {[string, string][]}
 */
function agentFacts(agent, nowMs) {
  return [
    ["Slots", slotWords(agent)],
    [
      "CPU",
      `${formatShare(agent.host?.cpu)} of ${plural(agent.cores, "core")}, load ${
        agent.host?.load1.toFixed(2) ?? "–"
      }`,
    ],
    ["Memory", memoryWords(agent.host)],
    [
      "Temperature",
      `${formatTemperature(agent.host?.temperatureC)}${agent.host?.throttled ? ", throttled" : ""}`,
    ],
    ["Agent itself", `${agent.agentCpuCores.toFixed(2)} cores, ${formatBytes(agent.agentMemoryBytes)}`],
    ["Connected", agent.health === "lost" ? "no" : `for ${formatDuration(nowMs - agent.joinedAtMs)}`],
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

/**
 * Pairs of a term and its value, made once and then updated.
 * @param {HTMLDListElement} list
 * @param {[string, string][]} pairs always the same terms in the same order
 */
export function showFacts(list, pairs) {
  while (list.childElementCount < pairs.length) list.append(h("div", {}, h("dt"), h("dd")));
  pairs.forEach(([term, value], index) => {
    const [dt, dd] = list.children[index].children;
    setText(dt, term);
    setText(dd, value);
  });
}
