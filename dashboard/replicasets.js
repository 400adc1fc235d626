// @ts-check
/** What runs where: each replicaSet's version, readiness, rollout and placements; scale and undo for operators. */
import { hold, scale, undo } from "./api.js";
import { createChart } from "./charts.js";
import { ask } from "./dialogs.js";
import { h, keyedList, setAttribute, setStyle, setText, setVisible } from "./dom.js";
import { formatNumber, plural } from "./format.js";
import { createLogs } from "./logs.js";
import { createStatus, emptyState, levelOf, linkTo, nameTag, notRecorded } from "./parts.js";
import { createPlacements } from "./placements.js";
import { createRevisions } from "./revisions.js";
import { isUnderWay, wayOf } from "./rollout_facts.js";
import { createWordFilter } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView
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
      const { ready, total, state, reason, weight } = rollout;
      setAttribute(element, "data-level", levelOf(state));
      setAttribute(track, "aria-valuenow", ready);
      setAttribute(track, "aria-valuemax", total);
      setStyle(bar, "transform", `scaleX(${total > 0 ? Math.min(1, ready / total) : 0})`);
      const stage = weight === undefined ? "" : `, ${weight} % of the requests`;
      const held = state === "paused" ? "paused, " : "";
      const outcome = state === "done"
        ? "rolled out"
        : state === "failed"
        ? "failed"
        : `${held}${ready} of ${total} ready${stage}`;
      setText(words, `${wayOf(rollout)}, ${outcome}${reason ? `: ${reason}` : ""}`);
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
    (set) => createSetCard(app, set, only === undefined ? shortMax : Infinity),
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
  /** @type {ReplicaSetView[]} */
  let sets = [];
  const filter = only === undefined ? createWordFilter("Filter replicaSets", () => show()) : null;
  const noMatch = h("p", { class: "dim" }, "No replicaSet matches.");
  const toolbar = filter && h("div", { class: "toolbar" }, filter.element);
  const element = h("div", { class: "replicasets" }, toolbar, cards, none, noMatch, details?.element);

  function show() {
    const shown = filter
      ? sets.filter(({ name, version, endpoints }) => filter.matches([name, version, ...endpoints].join(" ")))
      : sets.filter(({ name }) => name === only);
    setVisible(none, filter ? sets.length === 0 : shown.length === 0);
    setVisible(noMatch, filter !== null && sets.length > 0 && shown.length === 0);
    list.update(shown);
    details?.update(shown[0]);
  }

  return {
    element,
    update(overview) {
      sets = overview.replicaSets;
      show();
    },
    close() {
      list.close();
      details?.close();
    },
  };
}

/** Replicas that a card on the list shows; its own page shows all. */
const shortMax = 8;

/**
 * @param {App} app
 * @param {ReplicaSetView} set
 * @param {number} shownMax replicas
 */
function createSetCard(app, set, shownMax) {
  let current = set;
  const version = h("span", { class: "set-version" });
  const owner = h("span", { class: "badge" });
  const status = createStatus();
  const load = h("span", { class: "dim" });
  const rollout = createRolloutBar();
  const pending = h("p", { class: "warning" });
  const endpoints = h("ul", { class: "chips" });
  const placements = createPlacements(app, {
    first: "agent",
    name: shownMax === Infinity ? "sort" : `sort.${set.name}`,
    max: shownMax,
  });
  const more = h("a", { class: "more", href: linkTo("replicasets", set.name) });
  const scale = h("button", { type: "button", on: { click: () => askScale(current) } }, "Scale");
  const actions = createActions(app, scale);
  const name = h("h2", {}, nameTag(app, "replicaSet", set.name, linkTo("replicasets", set.name)));
  const head = h("div", { class: "set-head" }, name, version, status.element, actions.element);
  const line = h("div", { class: "set-line" }, owner, load);
  const endpointList = keyedList(endpoints, (/** @type {string} */ endpoint) => endpoint, (endpoint) => ({
    element: h("li", { class: "chip" }, nameTag(app, "endpoint", endpoint, linkTo("endpoints", endpoint))),
    update() {},
  }));
  const element = h("section", { class: "card panel set", "aria-label": set.name }, head, line);
  element.append(rollout.element, pending, placements.element, more, endpoints);
  return {
    element,
    /** @param {ReplicaSetView} now */
    update(now) {
      current = now;
      const isPast = app.feed.isPast();
      // On every agent that fits, of which there is none: nothing is as it should be.
      const nowhere = now.replicas === "all" && now.wanted === 0;
      const complete = now.ready >= now.wanted && !nowhere;
      setText(version, now.revision > 0 ? `${now.version} · r${now.revision}` : now.version);
      actions.update(now);
      setText(owner, now.owner === "file" ? "configuration file" : "deployed by client");
      if (now.ready === undefined) status.update(notRecorded, `replicas ${notRecorded}`);
      else {
        status.update(
          complete ? "ready" : now.ready > 0 ? "pending" : "failed",
          `${now.ready} of ${now.wanted} ready`,
        );
      }
      const running = isPast ? "" : `${formatNumber(now.outstanding)} running, `;
      setText(load, `${running}${formatNumber(now.queued)} queued`);
      rollout.update(now.rollout?.state === "done" ? undefined : now.rollout);
      setText(pending, now.pendingReason ?? "");
      setVisible(pending, Boolean(now.pendingReason));
      placements.update(now.placements);
      const hidden = now.placements.length - shownMax;
      setVisible(more, hidden > 0);
      setText(more, `${plural(hidden, "more replica")}`);
      endpointList.update(now.endpoints.map((text) => text.includes("/") ? text : `${now.name}/${text}`));
    },
    close: placements.close,
  };
}

/**
 * Pause or resume, and undo, for those who may.
 * @param {App} app
 * @param {HTMLButtonElement[]} more what else can be done with a set that the file does not own
 */
export function createActions(app, ...more) {
  /** @type {ReplicaSetView | undefined} */
  let set;
  const hold = h("button", { type: "button", on: { click: () => set && askHold(set) } });
  const undo = h("button", { type: "button", on: { click: () => set && askUndo(set) } }, "Undo");
  const element = h("div", { class: "actions" }, ...(app.may.operate ? [hold, ...more, undo] : []));
  return {
    element,
    /** @param {ReplicaSetView | undefined} now */
    update(now) {
      set = now;
      const isFixed = now?.owner === "file";
      setVisible(element, now !== undefined && app.may.operate);
      setVisible(hold, isUnderWay(now?.rollout));
      setText(hold, now?.rollout?.state === "paused" ? "Resume" : "Pause");
      for (const button of [...more, undo]) {
        setAttribute(button, "disabled", isFixed);
        setAttribute(button, "title", isFixed ? fileOwned : null);
      }
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
      const { warnings } = await scale(set.name, replicas);
      const words = replicas === "all"
        ? "all agents"
        : replicas === "auto"
        ? "what its specification says"
        : plural(replicas, "replica");
      return [`${set.name} is scaled to ${words}`, ...warnings].join(". ");
    },
  });
}

/**
 * @param {ReplicaSetView} set
 * @param {RevisionView} [target] the newest before that did not fail when left out
 */
function askUndo(set, target) {
  const where = target ? `revision ${target.revision} (${target.version})` : "the revision before";
  ask({
    title: `Go back to ${where}?`,
    text:
      `${set.name} runs revision ${set.revision} (${set.version}). Its replicas are replaced one at a time.`,
    confirm: "Go back",
    async act() {
      const { revision, warnings = [] } = await undo(set.name, target?.revision);
      return [`${set.name} goes back to revision ${revision}`, ...warnings].join(". ");
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
    series: "queue",
    subject: name,
  });
  const revisions = createRevisions(app, name, {
    whyNot: () => set?.owner === "file" ? fileOwned : undefined,
    goBack: (revision) => set && askUndo(set, revision),
  });
  const all = h("a", { href: `${linkTo("rollouts")}?filter=${encodeURIComponent(name)}` }, "its rollouts");
  const heading = h("h3", {}, "Revisions", h("span", { class: "dim" }, " · ", all));
  const panel = h("section", { class: "card panel" }, heading, revisions.element);
  const logs = app.may.operate ? createLogs(app, name) : null;
  let loadedRevision = 0;
  /** @type {ReplicaSetView | undefined} */
  let set;

  return {
    element: h(
      "div",
      { class: "pair" },
      queue.element,
      panel,
      logs && h("div", { class: "live-only" }, logs.element),
    ),
    /** @param {ReplicaSetView | undefined} now */
    update(now) {
      set = now;
      queue.update();
      if (now && !feed.isPast()) logs?.update();
      const revision = now?.revision ?? 0;
      if (revision !== loadedRevision) revisions.load();
      loadedRevision = revision;
    },
    close() {
      queue.close();
      revisions.close();
    },
  };
}
