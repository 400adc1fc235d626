// @ts-check
/** From one revision to the next: all rollouts that are kept, those under way on top. One of them is rollout.js. */
import { h, keyedList, setText, setVisible } from "./dom.js";
import { formatDuration, formatTime } from "./format.js";
import { createStatus, emptyState, linkTo, nameTag } from "./parts.js";
import { createActions, createRolloutBar } from "./replicasets.js";
import { createPoll, isUnderWay, tookMs, wayOf } from "./rollout_facts.js";
import { createTable, createWordFilter } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").PastRolloutView} PastRolloutView
 * @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView
 */

/** A finished one is shown with what came just before and after it. */
const aroundMs = 120_000;

/** @param {{ replicaSet: string, startedAtMs: number }} rollout */
function nameOf({ replicaSet, startedAtMs }) {
  return `${replicaSet}/${startedAtMs}`;
}

/** Its page; of one that is long over, with the charts at that time. @param {PastRolloutView} rollout @param {number} nowMs */
function linkToRollout(rollout, nowMs) {
  const { startedAtMs, endedAtMs } = rollout;
  const link = linkTo("rollouts", nameOf(rollout));
  if (endedAtMs === undefined || nowMs - endedAtMs < aroundMs) return link;
  return `${link}?from=${startedAtMs - aroundMs}&to=${endedAtMs + aroundMs}`;
}

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createRollouts(app) {
  /** @type {PastRolloutView[]} */
  let rollouts = [];
  let isKnown = false;
  /** @type {ReplicaSetView[]} */
  let sets = [];
  const filter = createWordFilter("Filter rollouts", () => show());
  const under = h("div", { class: "under-way" });
  const cards = keyedList(
    under,
    (/** @type {ReplicaSetView} */ set) => set.name,
    (set) => createUnderWay(app, set),
  );
  const table = createRolloutTable(app);
  const none = emptyState(
    "No rollout yet",
    "Each deployment and each undo is one: what moved, why, and what was made of it.",
    ["./client deploy hello.ts --name hello --version 1.0.0"],
  );
  const noMatch = h("p", { class: "dim" }, "No rollout matches.");
  const card = h("section", { class: "card panel" }, table.element, none, noMatch);
  const { feed } = app;
  // The newest of all may have begun after a time in the past.
  const untilMs = () => feed.isPast() ? feed.atMs() + 1 : undefined;
  const poll = createPoll(undefined, (answer) => {
    rollouts = answer;
    isKnown = true;
    show();
  }, untilMs);

  function show() {
    const until = rollouts.filter(({ startedAtMs }) => startedAtMs <= feed.atMs());
    const matching = until.filter((rollout) =>
      filter.matches(
        `${rollout.replicaSet} ${wayOf(rollout)} ${rollout.version} ${rollout.state} ${rollout.cause}`,
      )
    );
    table.update(matching);
    setVisible(none, isKnown && until.length === 0);
    setVisible(noMatch, until.length > 0 && matching.length === 0);
    const moving = sets.filter(({ rollout }) => isUnderWay(rollout));
    cards.update(feed.isPast() ? [] : moving);
  }

  return {
    element: h(
      "div",
      { class: "rollouts-page" },
      h("div", { class: "toolbar" }, filter.element),
      under,
      card,
    ),
    update(overview) {
      sets = overview.replicaSets;
      poll.update(overview);
      show();
    },
    close: () => table.close(),
  };
}

/** A rollout under way: how far, why, and what can be done about it. @param {App} app @param {ReplicaSetView} set */
function createUnderWay(app, set) {
  const bar = createRolloutBar();
  const actions = createActions(app);
  const name = h("h2", {}, nameTag(app, "replicaSet", set.name, linkTo("replicasets", set.name)));
  const head = h("div", { class: "set-head" }, name, actions.element);
  return {
    element: h(
      "section",
      { class: "card panel set", "aria-label": `Rollout of ${set.name}` },
      head,
      bar.element,
    ),
    /** @param {ReplicaSetView} now */
    update(now) {
      bar.update(now.rollout);
      actions.update(now);
    },
  };
}

/** @param {App} app */
function createRolloutTable(app) {
  const took = (/** @type {PastRolloutView} */ rollout) => tookMs(rollout, app.feed.nowMs());
  return createTable({
    label: "Rollouts",
    class: "rollout-table",
    name: "sort",
    order: { key: "startedAtMs", down: true },
    columns: [
      { key: "replicaSet", title: "ReplicaSet", by: ({ replicaSet }) => replicaSet },
      { key: "toRevision", title: "Revisions", by: ({ toRevision }) => toRevision },
      { key: "version", title: "Version", by: ({ version }) => version },
      { key: "state", title: "State", by: ({ state }) => state },
      { key: "startedAtMs", title: "Began", by: ({ startedAtMs }) => startedAtMs },
      { key: "tookMs", title: "Took", by: took, isNumber: true },
      { key: "cause", title: "Why", class: "wide" },
    ],
    keyOf: nameOf,
    createRow: (rollout) => createRolloutRow(app, rollout),
  });
}

/** @param {App} app @param {PastRolloutView} rollout */
function createRolloutRow(app, rollout) {
  const status = createStatus();
  const tag = nameTag(app, "replicaSet", rollout.replicaSet, linkToRollout(rollout, app.feed.nowMs()));
  const [began, took, why] = [h("td"), h("td", { class: "number" }), h("td", { class: "wide" })];
  const [cause, reason] = [h("span"), h("span", { class: "reason" })];
  why.append(cause, reason);
  return {
    element: h(
      "tr",
      {},
      h("th", { scope: "row" }, tag),
      h("td", {}, wayOf(rollout)),
      h("td", {}, rollout.version || "–"),
      h("td", {}, status.element),
      began,
      took,
      why,
    ),
    /** @param {PastRolloutView} now */
    update(now) {
      const nowMs = app.feed.nowMs();
      const ms = tookMs(now, nowMs);
      status.update(now.state);
      setText(began, formatTime(now.startedAtMs, nowMs));
      setText(took, ms === undefined ? "–" : formatDuration(ms));
      setText(cause, now.cause ?? "not recorded");
      setText(reason, now.reason ?? "");
    },
  };
}
