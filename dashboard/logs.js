// @ts-check
/** What the modules of one replicaSet print, newest at the bottom, followed while the person is there to read. */
import { addressValue, setAddressValues } from "./address.js";
import { getLogs } from "./api.js";
import { h, setAttribute, setVisible } from "./dom.js";
import { formatTime } from "./format.js";
import { emptyState, levelOf, linkTo } from "./parts.js";

/** @typedef {import("./parts.js").App} App */

const pollMs = 2000;
const linesMax = 400;

/**
 * @param {App} app
 * @param {string} replicaSet
 * @param {Record<string, string>} [filters] as `getLogs` takes them
 */
export function createLogs(app, replicaSet, filters = {}) {
  const lines = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": `Log of ${replicaSet}` });
  const none = h(
    "p",
    { class: "dim" },
    "Nothing printed lately. console.log and ctx.log of its modules show up here.",
  );
  const all = h("a", { href: linkTo("logs", replicaSet) }, "Log");
  const element = h("section", { class: "card panel" }, h("h3", {}, all), lines, none);
  let newestId = 0;
  let polledAt = -Infinity;
  let polling = false;

  async function poll() {
    polling = true;
    polledAt = performance.now();
    try {
      add(await getLogs(replicaSet, newestId, filters));
    } catch {
      // The mark beside the title says when the manager is away; the next poll fetches what was missed.
    } finally {
      polling = false;
    }
  }

  /** @param {import("./api.js").LogLineView[]} fresh */
  function add(fresh) {
    // Who has scrolled up to read must not be pulled away.
    const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
    for (const line of fresh) {
      newestId = Math.max(newestId, line.id);
      lines.append(createLine(line));
    }
    while (lines.childElementCount > linesMax) lines.firstElementChild?.remove();
    setVisible(none, newestId === 0);
    setVisible(lines, newestId > 0);
    if (follows) lines.scrollTop = lines.scrollHeight;
  }

  /** @param {import("./api.js").LogLineView} line */
  function createLine({ atMs, agent, revision, level, text, requestId }) {
    const time = h("span", { class: "dim" }, formatTime(atMs, app.feed.nowMs()));
    const title = `${level}, revision ${revision}${requestId ? `, request ${requestId}` : ""}`;
    return h(
      "div",
      { "data-level": levelOf(level), title },
      time,
      h("span", { class: "dim" }, agent),
      h("span", {}, text),
    );
  }

  setVisible(lines, false);
  return {
    element,
    update() {
      if (!polling && performance.now() - polledAt > pollMs) poll();
    },
  };
}

const levels = ["", "info", "warn", "error"];
const levelTitles = ["All levels", "Info and worse", "Warnings and errors", "Errors"];

/**
 * The log of any replicaSet, by agent, level, words and request; the address says which.
 * @param {App} app
 * @param {string} [name] the first replicaSet when left out
 * @returns {import("./parts.js").View}
 */
export function createLogsPage(app, name) {
  const filters = {
    agent: addressValue("agent") ?? "",
    level: addressValue("level") ?? "",
    contains: addressValue("contains") ?? "",
    requestId: addressValue("request") ?? "",
  };
  const change = () => {
    filters.agent = agent.value;
    filters.level = level.value;
    filters.contains = words.value.trim();
    filters.requestId = request.value.trim();
    const { requestId, ...others } = filters;
    setAddressValues({ ...others, request: requestId });
    restart();
  };
  const set = h("select", { "aria-label": "ReplicaSet", on: { change: () => open(set.value) } });
  const agent = h("select", { "aria-label": "Agent", on: { change } });
  const level = h("select", { "aria-label": "Level", on: { change } });
  const words = h("input", { type: "search", placeholder: "Words", "aria-label": "Words", on: { change } });
  const request = h("input", {
    type: "search",
    placeholder: "Request",
    "aria-label": "Request",
    on: { change },
  });
  level.append(...levels.map((value, index) => h("option", { value }, levelTitles[index])));
  level.value = filters.level;
  words.value = filters.contains;
  request.value = filters.requestId;
  const body = h("div", { class: "live-only" });
  const none = emptyState(
    "Nothing to read",
    "No replicaSet is deployed. What its modules print shows up here.",
  );
  const toolbar = h("div", { class: "toolbar" }, set, agent, level, words, request);
  /** @type {ReturnType<typeof createLogs> | null} */
  let logs = null;

  /** @param {string} replicaSet */
  function open(replicaSet) {
    location.hash = linkTo("logs", replicaSet);
  }

  function restart() {
    if (set.value === "") return;
    logs = createLogs(app, set.value, filters);
    setAttribute(logs.element, "class", "card panel log-page");
    body.replaceChildren(logs.element);
    logs.update();
  }

  return {
    element: h("div", { class: "logs" }, toolbar, body, none),
    update({ replicaSets, agents }) {
      const isFirst = set.childElementCount === 0;
      fill(set, replicaSets.map((one) => one.name));
      fill(agent, ["", ...agents.map((one) => one.name)], "All agents");
      if (isFirst) {
        if (name !== undefined) set.value = name;
        agent.value = filters.agent;
      }
      setVisible(none, set.value === "");
      setVisible(toolbar, set.childElementCount > 0);
      if (app.feed.isPast()) return;
      if (!logs) restart();
      logs?.update();
    },
    close() {},
  };
}

/**
 * Options by name; untouched while they are the same, so that an open list stays open.
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 * @param {string} [empty] what "" is called
 */
function fill(select, names, empty = "") {
  const now = [...select.options].map(({ value }) => value);
  if (JSON.stringify(now) === JSON.stringify(names)) return;
  const { value } = select;
  select.replaceChildren(...names.map((name) => h("option", { value: name }, name || empty)));
  if (names.includes(value)) select.value = value;
}
