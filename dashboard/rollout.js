// @ts-check
/** One rollout: from which revision to which, why, its steps, what it is judged by, and its answers as charts. */
import { getEventsBetween } from "./api.js";
import { h, keyedList, setText, setVisible } from "./dom.js";
import { revisionCharts } from "./endpoints.js";
import { createEventLine } from "./events.js";
import { formatAge, formatCount, formatDuration, formatMs, formatShare, formatTime } from "./format.js";
import { stepsOf } from "./past.js";
import { createStatus, emptyState, linkTo, nameTag, showFacts } from "./parts.js";
import { createActions, createRolloutBar } from "./replicasets.js";
import { createPoll, isUnderWay, judgedAfterMs, tookMs, wayOf } from "./rollout_facts.js";
import { createTable } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").PastRolloutView} PastRolloutView
 * @typedef {import("../lib/protocol/views.ts").ComparisonView} ComparisonView
 * @typedef {import("../lib/protocol/views.ts").EventView} EventView
 */

/**
 * @param {App} app
 * @param {string} name `replicaSet/startedAtMs`
 * @returns {import("./parts.js").View}
 */
export function createRollout(app, name) {
  const [replicaSet, started] = name.split("/");
  const status = createStatus();
  const bar = createRolloutBar();
  const actions = createActions(app);
  const reason = h("p", { class: "warning" });
  const facts = h("dl", { class: "facts" });
  const cause = h("p", { class: "lead" });
  const head = h("div", { class: "agent-head" }, status.element, actions.element);
  const top = h("section", { class: "card panel set" }, head, cause, bar.element, reason, facts);
  const steps = createSteps(app, replicaSet);
  const judged = createJudged(app);
  const charts = createComparison(app, replicaSet);
  const none = emptyState("Unknown rollout", `No rollout of ${replicaSet} that began then is kept.`);
  const body = h("div", { class: "stack" }, top, judged.element, charts.element, steps.element);
  /** @type {PastRolloutView | undefined} */
  let rollout;
  let isKnown = false;
  const poll = createPoll(replicaSet, async (answer) => {
    isKnown = true;
    rollout = answer.find(({ startedAtMs }) => startedAtMs === Number(started));
    if (rollout) {
      judged.show(rollout);
      await steps.load(rollout);
    }
  });
  setVisible(body, false);
  setVisible(none, false);
  return {
    title: `${replicaSet}, ${formatTime(Number(started), app.feed.nowMs())}`,
    element: h("div", { class: "rollout-page" }, none, body),
    update(overview) {
      poll.update(overview);
      const set = overview.replicaSets.find((one) => one.name === replicaSet);
      const isNewest = set?.rollout?.startedAtMs === Number(started);
      setVisible(none, isKnown && !rollout);
      setVisible(body, rollout !== undefined);
      charts.update(
        overview.endpoints.filter((view) => view.replicaSet === replicaSet).map((view) => view.endpoint),
      );
      if (!rollout) return;
      status.update(rollout.state);
      bar.update(isNewest && isUnderWay(rollout) ? set?.rollout : undefined);
      actions.update(isNewest ? set : undefined);
      setText(cause, rollout.cause ?? "Who began it is not recorded.");
      setText(reason, rollout.reason ?? "");
      setVisible(reason, rollout.reason !== undefined);
      showFacts(facts, rolloutFacts(rollout, app.feed.nowMs()));
    },
    close() {
      judged.close();
      charts.close();
    },
  };
}

/** @param {PastRolloutView} rollout @param {number} nowMs @returns {[string, string][]} */
function rolloutFacts(rollout, nowMs) {
  const { startedAtMs, endedAtMs, version } = rollout;
  const ms = tookMs(rollout, nowMs);
  return [
    ["Revisions", wayOf(rollout)],
    ["Version", version || "not recorded"],
    ["Began", `${formatTime(startedAtMs, nowMs)}, ${formatAge(startedAtMs, nowMs)}`],
    [
      "Ended",
      endedAtMs === undefined
        ? isUnderWay(rollout) ? "not yet" : "not recorded"
        : formatTime(endedAtMs, nowMs),
    ],
    ["Took", ms === undefined ? "not recorded" : formatDuration(ms)],
  ];
}

/** What was decided, step by step, from its start to its end. @param {App} app @param {string} replicaSet */
function createSteps(app, replicaSet) {
  const lines = h("ul", { class: "event-lines full" });
  const none = h("p", { class: "dim" }, "No event of that time is kept.");
  const list = keyedList(
    lines,
    (/** @type {EventView} */ { id }) => String(id),
    () => createEventLine(app, false),
  );
  let loadedState = "";
  return {
    element: h("section", { class: "card panel" }, h("h3", {}, "Steps"), lines, none),
    /** @param {PastRolloutView} rollout */
    async load(rollout) {
      const nowMs = app.feed.nowMs();
      const { startedAtMs, endedAtMs = nowMs, state } = rollout;
      const isOver = nowMs - endedAtMs > judgedAfterMs;
      if (isOver && state === loadedState) return;
      const events = await getEventsBetween(startedAtMs - 5000, endedAtMs + judgedAfterMs, 300, {
        subject: replicaSet,
      });
      loadedState = state;
      const own = stepsOf(events, rollout);
      list.update(own);
      setVisible(none, own.length === 0);
    },
  };
}

/** Of what is over the manager keeps no more endpoints than these. */
const comparisonsKept = 20;

/** The new revision's answers beside those of the one before. @param {App} app */
function createJudged(app) {
  const table = createTable({
    label: "What it is or was judged by",
    class: "judged-table",
    name: "sort.judged",
    order: { key: "after", down: true },
    columns: [
      { key: "endpoint", title: "Endpoint", by: (/** @type {ComparisonView} */ { endpoint }) => endpoint },
      { key: "before", title: "Requests before", by: ({ before }) => before.requests, isNumber: true },
      { key: "after", title: "after", by: ({ after }) => after.requests, isNumber: true },
      {
        key: "failedBefore",
        title: "Failed before",
        by: ({ before }) => shareOf(before),
        isNumber: true,
      },
      { key: "failedAfter", title: "after", by: ({ after }) => shareOf(after), isNumber: true },
      { key: "p95Before", title: "p95 before", by: ({ before }) => before.p95Ms, isNumber: true },
      { key: "p95After", title: "after", by: ({ after }) => after.p95Ms, isNumber: true },
    ],
    keyOf: ({ endpoint }) => endpoint,
    createRow: (judged) => createJudgedRow(app, judged),
  });
  const note = h("p", { class: "dim" });
  return {
    element: h("section", { class: "card panel" }, h("h3", {}, "Judged by its answers"), table.element, note),
    /** @param {PastRolloutView} rollout */
    show({ judged = [], fromRevision, state }) {
      table.update(judged);
      const none = fromRevision === 0
        ? "There is no revision before it to compare with."
        : isUnderWay({ state })
        ? "It has answered nothing yet."
        : "No figures are kept: it had answered nothing, or was not judged. The charts show what is recorded.";
      const isCut = !isUnderWay({ state }) && judged.length >= comparisonsKept;
      setText(note, isCut ? `Kept are those of the ${comparisonsKept} most called endpoints.` : none);
      setVisible(note, judged.length === 0 || isCut);
    },
    close: table.close,
  };
}

/** @param {import("../lib/protocol/views.ts").ArmView} arm */
function shareOf({ requests, errors }) {
  return requests > 0 ? errors / requests : undefined;
}

/** @param {App} app @param {{ endpoint: string }} judged */
function createJudgedRow(app, { endpoint }) {
  const cells = Array.from({ length: 6 }, () => h("td", { class: "number" }));
  const tag = nameTag(app, "endpoint", endpoint, linkTo("endpoints", endpoint));
  return {
    element: h("tr", {}, h("th", { scope: "row" }, tag), ...cells),
    /** @param {ComparisonView} now */
    update({ before, after }) {
      const texts = [
        ...[before, after].map(({ requests }) => formatCount(requests)),
        ...[before, after].map((arm) => formatShare(shareOf(arm))),
        ...[before, after].map(({ p95Ms }) => formatMs(p95Ms)),
      ];
      texts.forEach((text, index) => setText(cells[index], text));
    },
  };
}

/** Charts by revision of one of the set's endpoints. @param {App} app @param {string} replicaSet */
function createComparison(app, replicaSet) {
  const select = h("select", { "aria-label": "Endpoint", on: { change: () => open() } });
  const grid = h("div", { class: "charts" });
  const none = h("p", { class: "dim" }, `No function of ${replicaSet} is known now.`);
  /** @type {ReturnType<typeof revisionCharts>} */
  let charts = [];
  let known = "";

  function open() {
    for (const chart of charts) chart.close();
    charts = select.value === "" ? [] : revisionCharts(app, select.value);
    grid.replaceChildren(...charts.map(({ element }) => element));
  }

  return {
    element: h(
      "div",
      { class: "stack" },
      h("div", { class: "toolbar" }, h("h3", {}, "By revision"), select),
      grid,
      none,
    ),
    /** @param {string[]} endpoints */
    update(endpoints) {
      if (endpoints.join() !== known) {
        known = endpoints.join();
        const { value } = select;
        select.replaceChildren(...endpoints.map((endpoint) => h("option", { value: endpoint }, endpoint)));
        if (endpoints.includes(value)) select.value = value;
        else open();
      }
      setVisible(none, endpoints.length === 0);
      setVisible(select, endpoints.length > 0);
      for (const chart of charts) chart.update();
    },
    close() {
      for (const chart of charts) chart.close();
    },
  };
}
