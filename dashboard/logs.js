// @ts-check
/** What the modules of one replicaSet print, newest at the bottom, followed while the person is there to read. */
import { getLogs } from "./api.js";
import { h, setVisible } from "./dom.js";
import { formatTime } from "./format.js";
import { levelOf } from "./parts.js";

const pollMs = 2000;
const linesMax = 400;

/**
 * @param {import("./parts.js").App} app
 * @param {string} replicaSet
 */
export function createLogs(app, replicaSet) {
  const lines = h("div", { class: "log", role: "log", tabindex: 0, "aria-label": `Log of ${replicaSet}` });
  const none = h(
    "p",
    { class: "dim" },
    "Nothing printed lately. console.log and ctx.log of its modules show up here.",
  );
  const element = h("section", { class: "card panel" }, h("h3", {}, "Log"), lines, none);
  let newestId = 0;
  let polledAt = -Infinity;
  let polling = false;

  async function poll() {
    polling = true;
    polledAt = performance.now();
    try {
      add(await getLogs(replicaSet, newestId));
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
  function createLine({ atMs, agent, level, text }) {
    const time = h("span", { class: "dim" }, formatTime(atMs, app.feed.nowMs()));
    return h(
      "div",
      { "data-level": levelOf(level) },
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
