// @ts-check
/** What runs where: each replicaSet's version, readiness, rollout and placements; scale and undo for operators. */
import { getRevisions, hold, scale, undo } from "./api.js";
import { createChart } from "./charts.js";
import { ask } from "./dialogs.js";
import { h, keyedList, setAttribute, setStyle, setText, setVisible } from "./dom.js";
import { formatAge, formatBytes, formatNumber, plural } from "./format.js";
import { createLogs } from "./logs.js";
import { createPips, createStatus, emptyState, levelOf, linkTo, nameTag } from "./parts.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView
 * @typedef {import("../lib/protocol/views.ts").ReplicaView} ReplicaView
 * @typedef {import("../lib/protocol/views.ts").RevisionView} RevisionView
 * @typedef {import("../lib/protocol/views.ts").RolloutView} RolloutView
 */

const fileOwned = "It belongs to the configuration file; change it there";

/** A rollout as a bar that fills with ready replicas, in words beside it. */
export function createRolloutBar() {
  const bar = h("span", { class: "meter-bar" });
  const track = h("span", {
    class: "meter-track",
    role: "progressbar",
    "aria-label": "Rollout",
    "aria-valuemin": 0,
  }, bar);
  const words = h("span", { class: "rollout-words" });
  const element = h("div", { class: "rollout" }, track, words);
  return {
    element,
    /** @param {RolloutView | undefined} rollout */
    update(rollout) {
      setVisible(element, rollout !== undefined);
      if (!rollout) return;
      const { fromRevision, toRevision, ready, total, state, reason, weight } = rollout;
      setAttribute(element, "data-level", levelOf(state));
      setAttribute(track, "aria-valuenow", ready);
      setAttribute(track, "aria-valuemax", total);
      setStyle(bar, "transform", `scaleX(${total > 0 ? Math.min(1, ready / total) : 0})`);
      const way = fromRevision > 0 ? `r${fromRevision} → r${toRevision}` : `r${toRevision}`;
      const stage = weight === undefined ? "" : `, ${weight} % of the requests`;
      const held = state === "paused" ? "paused, " : "";
      const outcome = state === "done"
        ? "rolled out"
        : state === "failed"
        ? "failed"
        : `${held}${ready} of ${total} ready${stage}`;
      setText(words, `${way}, ${outcome}${reason ? `: ${reason}` : ""}`);
    },
  };
}

/**
 * @param {App} app
 * @param {string} [only] shows one replicaSet with its revisions and queue
 * @returns {import("./parts.js").View}
 */
export function createReplicaSets(app, only) {
  const cards = h("div", { class: "set-cards" });
  const list = keyedList(
    cards,
    (/** @type {ReplicaSetView} */ set) => set.name,
    (set) => createSetCard(app, set),
  );
  const none = only === undefined
    ? emptyState(
      "Nothing is deployed yet",
      "Name replicaSets in the configuration file, or deploy a module by hand.",
      [
        "./client deploy hello.ts --name hello --version 1.0.0",
      ],
    )
    : emptyState("Not deployed", `There is no replicaSet named ${only} now.`);
  const details = only === undefined ? null : createDetails(app, only);
  const element = h("div", { class: "replicasets" }, cards, none, details?.element);
  return {
    element,
    update(overview) {
      const shown = overview.replicaSets.filter(({ name }) => only === undefined || name === only);
      setVisible(none, shown.length === 0);
      list.update(shown);
      details?.update(shown[0]);
    },
    close: () => details?.close(),
  };
}

/**
 * @param {App} app
 * @param {ReplicaSetView} set
 */
function createSetCard(app, set) {
  let current = set;
  const version = h("span", { class: "set-version" });
  const owner = h("span", { class: "badge" });
  const status = createStatus();
  const load = h("span", { class: "dim" });
  const rollout = createRolloutBar();
  const pending = h("p", { class: "warning" });
  const endpoints = h("ul", { class: "chips" });
  const placements = createPlacements(app, "agent");
  const buttons = [
    h("button", { type: "button", on: { click: () => askScale(current) } }, "Scale"),
    h("button", { type: "button", on: { click: () => askUndo(current) } }, "Undo"),
  ];
  const holdButton = h("button", { type: "button", on: { click: () => askHold(current) } });
  const actions = app.may.operate && h("div", { class: "actions" }, holdButton, ...buttons);
  const name = h("h2", {}, nameTag(app, "replicaSet", set.name, linkTo("replicasets", set.name)));
  const head = h("div", { class: "set-head" }, name, version, status.element, actions);
  const line = h("div", { class: "set-line" }, owner, load);
  const endpointList = keyedList(endpoints, (/** @type {string} */ endpoint) => endpoint, (endpoint) => ({
    element: h("li", { class: "chip" }, nameTag(app, "endpoint", endpoint, linkTo("endpoints", endpoint))),
    update() {},
  }));
  const element = h("section", { class: "card panel set", "aria-label": set.name }, head, line);
  element.append(rollout.element, pending, placements.element, endpoints);
  return {
    element,
    /** @param {ReplicaSetView} now */
    update(now) {
      current = now;
      const complete = now.ready >= now.wanted;
      setText(version, `${now.version} · r${now.revision}`);
      for (const button of buttons) {
        setAttribute(button, "disabled", now.owner === "file");
        setAttribute(button, "title", now.owner === "file" ? fileOwned : null);
      }
      setText(owner, now.owner === "file" ? "configuration file" : "deployed by client");
      status.update(
        complete ? "ready" : now.ready > 0 ? "pending" : "failed",
        `${now.ready} of ${now.wanted} ready`,
      );
      setText(load, `${formatNumber(now.outstanding)} running, ${formatNumber(now.queued)} queued`);
      rollout.update(now.rollout?.state === "done" ? undefined : now.rollout);
      const { state } = now.rollout ?? {};
      setVisible(holdButton, state === "progressing" || state === "paused");
      setText(holdButton, state === "paused" ? "Resume" : "Pause");
      setText(pending, now.pendingReason ?? "");
      setVisible(pending, Boolean(now.pendingReason));
      placements.update(now.placements);
      endpointList.update(now.endpoints.map((text) => text.includes("/") ? text : `${now.name}/${text}`));
    },
  };
}

/**
 * A table of replicas; the first column names what the page around it does not.
 * @param {App} app
 * @param {"agent" | "replicaSet"} first
 */
export function createPlacements(app, first) {
  const headings = [
    first === "agent" ? "Agent" : "ReplicaSet",
    "State",
    "Revision",
    "Slots",
    "CPU cores",
    "Memory",
    "Restarts",
  ];
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, ...headings.map((text) => h("th", { scope: "col" }, text))));
  const element = h("div", { class: "scroll" }, h("table", { class: "placements" }, head, body));
  const list = keyedList(
    body,
    (/** @type {ReplicaView} */ replica) => `${replica.agent}/${replica.replicaSet}@${replica.revision}`,
    (replica) => createPlacementRow(app, first, replica),
  );
  return {
    element,
    /** @param {ReplicaView[]} replicas */
    update(replicas) {
      setVisible(element, replicas.length > 0);
      list.update([...replicas].sort((a, b) => a[first].localeCompare(b[first]) || a.revision - b.revision));
    },
  };
}

/**
 * @param {App} app
 * @param {"agent" | "replicaSet"} first
 * @param {ReplicaView} replica
 */
function createPlacementRow(app, first, replica) {
  const link = linkTo(first === "agent" ? "agents" : "replicasets", replica[first]);
  const status = createStatus();
  const reason = h("span", { class: "reason" });
  const pips = createPips();
  const slotWords = h("span", { class: "dim slot-words" });
  const [revision, cpu, memory, restarts] = [h("td"), h("td"), h("td"), h("td")];
  const stateCell = h("td", {}, status.element, reason);
  const name = h("th", { scope: "row" }, nameTag(app, first, replica[first], link));
  return {
    element: h(
      "tr",
      {},
      name,
      stateCell,
      revision,
      h("td", {}, pips.element, slotWords),
      cpu,
      memory,
      restarts,
    ),
    /** @param {ReplicaView} now */
    update(now) {
      status.update(now.state);
      setText(reason, now.reason ?? "");
      setText(revision, `r${now.revision}`);
      // What a lost replica said last is not what it does now.
      const [running, cores, bytes] = now.state === "lost"
        ? [0, undefined, undefined]
        : [now.outstanding, now.cpuCores, now.memoryBytes];
      const adaptive = now.adaptive ? ", adaptive" : "";
      pips.update(running, now.slots, `${running} of ${plural(now.slots, "slot")} in use${adaptive}`);
      setText(slotWords, now.adaptive ? "adaptive" : "");
      setText(cpu, formatNumber(cores));
      setText(memory, formatBytes(bytes));
      setText(restarts, now.restarts);
    },
  };
}

/** @param {ReplicaSetView} set */
function askHold({ name, rollout }) {
  const verb = rollout?.state === "paused" ? "resume" : "pause";
  ask({
    title: verb === "pause" ? `Pause the rollout of ${name}?` : `Go on with the rollout of ${name}?`,
    text: verb === "pause"
      ? "Nothing more is moved until it is resumed; a revision that turns out bad is still undone."
      : "Its replicas are replaced as before.",
    confirm: verb === "pause" ? "Pause" : "Resume",
    async act() {
      await hold(name, verb);
      return `The rollout of ${name} is ${verb}d`;
    },
  });
}

/** @param {ReplicaSetView} set */
function askScale(set) {
  const input = h("input", {
    id: "replicas",
    value: typeof set.replicas === "object" ? "auto" : set.replicas,
    required: true,
    pattern: "all|auto|[0-9]+",
    size: 8,
  });
  ask({
    title: `Scale ${set.name}`,
    text: `It runs on ${
      plural(set.ready, "agent")
    } now, ${set.wanted} wanted. A number, "all" for every agent that fits, or "auto" for what its specification says.`,
    confirm: "Scale",
    fields: [h("label", { for: "replicas" }, "Replicas"), input],
    async act() {
      const text = input.value.trim();
      const replicas = text === "all" || text === "auto" ? text : Number(text);
      await scale(set.name, replicas);
      const words = replicas === "all"
        ? "all agents"
        : replicas === "auto"
        ? "what its specification says"
        : plural(replicas, "replica");
      return `${set.name} is scaled to ${words}`;
    },
  });
}

/**
 * @param {ReplicaSetView} set
 * @param {RevisionView} [target] the revision before when left out
 */
function askUndo(set, target) {
  const where = target ? `revision ${target.revision} (${target.version})` : "the revision before";
  ask({
    title: `Go back to ${where}?`,
    text:
      `${set.name} runs revision ${set.revision} (${set.version}). Its replicas are replaced one at a time.`,
    confirm: "Go back",
    async act() {
      await undo(set.name, target?.revision);
      return `${set.name} goes back to ${where}`;
    },
  });
}

/**
 * @param {App} app
 * @param {string} name
 */
function createDetails(app, name) {
  const { feed, palette } = app;
  const queue = createChart({
    title: "Queue",
    note: "requests waiting",
    kind: "stack",
    format: formatNumber,
    unit: "things",
    topMin: 4,
    colourOf: () => palette.of("replicaSet", name),
    empty: "Nothing yet.",
    feed,
    bind: () => feed.bind("queue", name, () => queue.update()),
  });
  const rows = h("ul", { class: "revisions" });
  const panel = h("section", { class: "card panel" }, h("h3", {}, "Revisions"), rows);
  const logs = app.may.operate ? createLogs(app, name) : null;
  let loadedRevision = 0;
  /** @type {ReplicaSetView | undefined} */
  let set;

  async function load() {
    const revisions = await getRevisions(name).catch(() => []);
    rows.replaceChildren(...revisions.map((revision) => revisionRow(app, revision, () => set)));
  }

  return {
    element: h("div", { class: "pair" }, queue.element, panel, logs?.element),
    /** @param {ReplicaSetView | undefined} now */
    update(now) {
      set = now;
      queue.update();
      if (now) logs?.update();
      const revision = now?.revision ?? 0;
      if (revision !== loadedRevision) load();
      loadedRevision = revision;
    },
    close: () => queue.close(),
  };
}

/**
 * @param {App} app
 * @param {RevisionView} revision
 * @param {() => ReplicaSetView | undefined} currentSet
 */
function revisionRow(app, revision, currentSet) {
  const click = () => {
    const set = currentSet();
    if (set) askUndo(set, revision);
  };
  const label = `Go back to revision ${revision.revision}`;
  const isFixed = currentSet()?.owner === "file";
  const button = h(
    "button",
    { type: "button", "aria-label": label, disabled: isFixed, on: { click } },
    "Go back",
  );
  if (isFixed) button.title = fileOwned;
  return h(
    "li",
    {},
    h("span", { class: "revision-name" }, `r${revision.revision}`),
    h("span", {}, revision.version),
    h(
      "span",
      { class: "dim" },
      `${formatAge(revision.createdAtMs, app.feed.nowMs())} by ${revision.createdBy}`,
    ),
    h("span", { class: "dim" }, plural(revision.modules.length, "file")),
    revision.current ? h("span", { class: "badge" }, "current") : app.may.operate && button,
  );
}
