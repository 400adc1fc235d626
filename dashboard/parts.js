// @ts-check
/** Small building blocks that several views share: dots, meters, pips, tags, tiles, empty states, copy boxes. */
import { h, keyedList, setAttribute, setStyle, setText, setVisible } from "./dom.js";
import { icon } from "./icons.js";
import { createSparkline } from "./sparkline.js";

/**
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 * @typedef {import("../lib/protocol/views.ts").ReplicaView} ReplicaView
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {"good" | "busy" | "warn" | "bad" | "idle"} Level
 * @typedef {object} App what every view is given
 * @property {import("./api.js").Session} session
 * @property {import("./feed.js").Feed} feed
 * @property {import("./colours.js").Palette} palette
 * @property {{ operate: boolean, invoke(endpoint: string): boolean }} may what is offered; the manager decides
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {HTMLElement} [actions] shown beside the title
 * @property {string} [title] in place of its name
 * @property {(overview: OverviewView) => void} update
 * @property {() => void} close
 */

/** @type {Record<string, Level>} */
const levels = {
  ready: "good",
  ok: "good",
  done: "good",
  info: "idle",
  suspect: "warn",
  damped: "warn",
  degraded: "warn",
  warn: "warn",
  pending: "warn",
  lost: "bad",
  down: "bad",
  failed: "bad",
  error: "bad",
  loading: "busy",
  progressing: "busy",
  paused: "warn",
  replaced: "idle",
  stopping: "idle",
};

/**
 * @param {string} state of an agent, replica, rollout, event or the cluster
 * @returns {Level}
 */
export function levelOf(state) {
  return levels[state] ?? "idle";
}

/**
 * An agent's health; of one that is well and lost again and again, that it is damped.
 * @param {AgentView} agent
 */
export function agentState({ health, damped }) {
  return health === "ready" && damped ? "damped" : health;
}

/** What a lost agent said last is not what it does now. @param {AgentView} agent */
export function hostOf({ health, host }) {
  return health === "lost" ? undefined : host;
}

/** A state as a coloured dot and its word: never by colour alone. */
export function createStatus() {
  const word = h("span");
  const element = h("span", { class: "status" }, h("span", { class: "dot" }), word);
  return {
    element,
    /** @param {string} state @param {string} [text] */
    update(state, text = state) {
      setAttribute(element, "data-level", levelOf(state));
      setText(word, text);
    },
  };
}

/**
 * A labelled bar. Over 85 % it turns to the warning colour.
 * @param {string} label
 */
export function createMeter(label) {
  const bar = h("span", { class: "meter-bar" });
  const value = h("span", { class: "meter-value" });
  const element = h(
    "div",
    { class: "meter" },
    h("span", { class: "meter-label" }, label),
    h("span", { class: "meter-track" }, bar),
    value,
  );
  return {
    element,
    /** @param {number | undefined} share 0 to 1 @param {string} text */
    update(share, text) {
      setStyle(bar, "transform", `scaleX(${Math.min(1, Math.max(0, share ?? 0)).toFixed(3)})`);
      setAttribute(element, "data-level", share !== undefined && share > 0.85 ? "warn" : null);
      setText(value, text);
    },
  };
}

/** What is said where history holds nothing. */
export const notRecorded = "not recorded";

const pipsMax = 24;

/** Slots as pips, filled while they work; as a bar of pips' shares when there are too many to draw. */
export function createPips() {
  const element = h("span", { class: "pips", role: "img" });
  let drawn = "";
  return {
    element,
    /** @param {number} used @param {number} total @param {string} label */
    update(used, total, label) {
      // A page may hold thousands of pips, and most stay as they are.
      const picture = `${used} ${total} ${label}`;
      if (picture === drawn) return;
      drawn = picture;
      const shown = Math.min(total, pipsMax);
      const filled = total > pipsMax ? Math.ceil(used / total * pipsMax) : used;
      while (element.childElementCount > shown) element.lastElementChild?.remove();
      while (element.childElementCount < shown) element.append(h("span", { class: "pip" }));
      [...element.children].forEach((pip, index) => setAttribute(pip, "data-on", index < filled));
      setAttribute(element, "aria-label", label);
      setAttribute(element, "title", label);
    },
  };
}

/**
 * A name in its colour.
 * @param {App} app
 * @param {import("./colours.js").ColourKind} kind
 * @param {string} name
 * @param {string} [href]
 */
export function nameTag(app, kind, name, href) {
  const swatch = h("span", { class: "swatch" });
  setStyle(swatch, "background", app.palette.of(kind, name));
  return h(href ? "a" : "span", { class: "name", href }, swatch, h("span", { class: "name-text" }, name));
}

/**
 * Hash routes; names may hold dots and dashes, endpoints a slash.
 * @param {string} view
 * @param {string} [name]
 */
export function linkTo(view, name) {
  return name === undefined ? `#/${view}` : `#/${view}/${name.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * @param {string} label
 * @param {{ colour: string, topMin: number } | null} line a sparkline below, or none
 */
export function createTile(label, line) {
  const value = h("span", { class: "tile-value" });
  const unit = h("span", { class: "tile-unit" });
  const note = h("span", { class: "tile-note" });
  const spark = line && createSparkline({ width: 92, height: 34, ...line });
  const number = h("span", { class: "tile-number" }, value, unit);
  const words = h("div", {}, h("span", { class: "tile-label" }, label), number);
  const element = h("div", { class: "card tile" }, words, spark?.element, note);
  return {
    element,
    /** @param {{ value: string, unit?: string, note: string, level?: Level, values?: (number | null)[] }} state */
    update(state) {
      setText(value, state.value);
      setText(unit, state.unit ?? "");
      setText(note, state.note);
      setAttribute(element, "data-level", state.level ?? null);
      if (state.values) spark?.update(state.values);
    },
  };
}

/**
 * A reason for emptiness and the way out of it.
 * @param {string} title
 * @param {string} text
 * @param {string[]} [commands] shown to be copied
 */
export function emptyState(title, text, commands = []) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), ...commands.map(copyBox));
}

/** @param {string} command */
export function copyBox(command) {
  const code = h("code", {}, command);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.dataset.done = "";
      setTimeout(() => delete button.dataset.done, 1200);
    } catch {
      // No clipboard here: the text is selected instead, one key away from being copied.
      getSelection()?.selectAllChildren(code);
    }
  };
  const button = h(
    "button",
    { class: "quiet", type: "button", title: "Copy", "aria-label": "Copy", on: { click: copy } },
    icon("copy"),
  );
  return h("div", { class: "copy" }, code, button);
}

/** Small chips with replicas: colour of the set, revision, state. @param {App} app */
export function createReplicaChips(app) {
  const element = h("ul", { class: "chips" });
  const list = keyedList(
    element,
    (/** @type {ReplicaView} */ replica) => `${replica.replicaSet}@${replica.revision}`,
    (replica) => {
      const state = h("span", { class: "chip-state" });
      const tag = nameTag(app, "replicaSet", replica.replicaSet, linkTo("replicasets", replica.replicaSet));
      const chip = h(
        "li",
        { class: "chip" },
        tag,
        h("span", { class: "dim" }, `r${replica.revision}`),
        state,
      );
      return {
        element: chip,
        update(/** @type {ReplicaView} */ now) {
          setAttribute(chip, "data-level", levelOf(now.state));
          setAttribute(
            chip,
            "title",
            now.reason ?? `${now.replicaSet} revision ${now.revision} is ${now.state}`,
          );
          setText(state, now.state === "ready" ? "" : now.state);
          setVisible(state, now.state !== "ready");
        },
      };
    },
  );
  return { element, update: list.update };
}

/**
 * Pairs of a term and its value, made once and then updated.
 * @param {HTMLDListElement} list
 * @param {[string, string][]} pairs
 */
export function showFacts(list, pairs) {
  while (list.childElementCount > pairs.length) list.lastElementChild?.remove();
  while (list.childElementCount < pairs.length) list.append(h("div", {}, h("dt"), h("dd")));
  pairs.forEach(([term, value], index) => {
    const [dt, dd] = list.children[index].children;
    setText(dt, term);
    setText(dd, value);
  });
}
