// @ts-check
/** What the cluster decided and noticed: newest first, by level and by words. */
import { getEvents } from "./api.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { formatShortAge, formatTime } from "./format.js";
import { addressValue, setAddressValues } from "./address.js";
import { emptyState, levelOf } from "./parts.js";
import { createWordFilter } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").EventView} EventView
 */

const fetchedMax = 500;
const shownMax = 300;

/** @type {{ level: string, title: string, levels: string[] }[]} `level` in the address */
const filters = [
  { level: "", title: "All", levels: ["info", "warn", "error"] },
  { level: "warn", title: "Warnings and errors", levels: ["warn", "error"] },
  { level: "error", title: "Errors", levels: ["error"] },
];

/**
 * One event on one line: level, time, words. Compact: the age in place of the clock.
 * @param {App} app
 * @param {boolean} compact
 */
export function createEventLine(app, compact) {
  const time = h("time", { class: "dim number" });
  const kind = h("span", { class: "event-kind dim" });
  const subject = h("span", { class: "event-subject" });
  const message = h("span", { class: "event-message" });
  const element = h("li", { class: "event" }, h("span", { class: "dot" }), time, compact ? null : kind);
  element.append(...(compact ? [message] : [subject, message]));
  return {
    element,
    /** @param {EventView} event */
    update(event) {
      const nowMs = app.feed.nowMs();
      setAttribute(element, "data-level", levelOf(event.level));
      setAttribute(time, "datetime", new Date(event.atMs).toISOString());
      setAttribute(time, "title", new Date(event.atMs).toLocaleString());
      setText(
        time,
        compact ? formatShortAge(event.atMs, nowMs) : formatTime(event.atMs, nowMs),
      );
      setText(kind, event.kind.replaceAll("_", " "));
      setText(subject, event.subject);
      setText(message, event.message);
    },
  };
}

/**
 * @param {App} app
 * @returns {import("./parts.js").View}
 */
export function createEvents(app) {
  /** @type {Map<number, EventView>} */
  const known = new Map();
  const filter = createFilter(show);
  const lines = h("ul", { class: "event-lines full" });
  const none = emptyState(
    "Nothing here",
    "No event matches. When the cluster does something, it is written here.",
  );
  const list = keyedList(
    lines,
    (/** @type {EventView} */ event) => String(event.id),
    () => createEventLine(app, false),
  );
  const card = h("section", { class: "card panel" }, lines, none);

  function show() {
    const events = app.feed.pastEvents() ?? [...known.values()];
    const matching = events.filter(filter.matches).sort((a, b) => b.id - a.id).slice(
      0,
      shownMax,
    );
    list.update(matching);
    setVisible(none, matching.length === 0);
  }

  /** @param {EventView[]} events */
  function add(events) {
    for (const event of events) known.set(event.id, event);
    // Ids grow, so the smallest are the oldest.
    const surplus = known.size - 2 * fetchedMax;
    if (surplus > 0) {
      for (const id of [...known.keys()].sort((a, b) => a - b).slice(0, surplus)) known.delete(id);
    }
    show();
  }

  // A failure needs no words of its own: the live stream brings the newest events, and says when it is broken.
  getEvents(fetchedMax).then(add, () => {});
  return {
    element: h("div", { class: "events" }, filter.element, card),
    update: ({ events }) => add(events),
    close() {},
  };
}

/**
 * Level and words to choose by, both kept in the address. Calls `changed` when either is another.
 * @param {() => void} changed
 */
function createFilter(changed) {
  let chosen = filters.find(({ level }) => level === addressValue("level")) ?? filters[0];
  const words = createWordFilter("Filter events", changed);
  const choices = filters.map((filter) => {
    const change = () => {
      chosen = filter;
      setAddressValues({ level: filter.level });
      changed();
    };
    const choice = h("input", {
      type: "radio",
      name: "level",
      checked: filter === chosen,
      on: { change },
    });
    return h("label", {}, choice, h("span", {}, filter.title));
  });
  const segments = h("fieldset", { class: "segments", "aria-label": "Level" }, ...choices);
  return {
    element: h("div", { class: "toolbar" }, segments, words.element),
    /** @param {EventView} event */
    matches({ level, kind, subject, message }) {
      return chosen.levels.includes(level) && words.matches(`${kind} ${subject} ${message}`);
    },
  };
}
