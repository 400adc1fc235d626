// @ts-check
/**
 * What happened, for the charts and for a look back: the events of the time that is shown. Deploys and failures are
 * marked on every chart, so that a bend in a line meets its cause.
 */
import { getEventsBetween } from "./api.js";

/**
 * @typedef {import("../lib/protocol/views.ts").EventView} EventView
 * @typedef {{ atMs: number, isBad: boolean, text: string }} Mark
 */

const bad = new Set([
  "agent_lost",
  "rollout_failed",
  "queue_full",
  "configuration_refused",
  "sign_in_locked",
]);
const good = new Set(["deployed", "rollout_undone", "rollout_done", "scaled"]);

/** More would be a curtain, not marks. */
const marksMax = 60;
const eventsMax = 1000;

export function createMarks() {
  /** @type {Map<number, EventView>} */
  const known = new Map();
  let loadedFromMs = Infinity;
  let loadedToMs = -Infinity;
  let loading = false;

  /** @param {EventView[]} events */
  function add(events) {
    for (const event of events) known.set(event.id, event);
  }

  return {
    /** The newest events come with every overview. @param {EventView[]} events */
    observe: add,
    /**
     * Fetches what is not known yet of a window.
     * @param {number} fromMs
     * @param {number} toMs
     */
    async load(fromMs, toMs) {
      if (loading || (fromMs >= loadedFromMs && toMs <= loadedToMs)) return;
      loading = true;
      try {
        add(await getEventsBetween(fromMs, toMs, eventsMax));
        loadedFromMs = Math.min(loadedFromMs, fromMs);
        // What comes from now on comes with the overviews.
        loadedToMs = Infinity;
      } catch {
        // The mark beside the title says when the manager is away; the next look tries again.
      } finally {
        loading = false;
      }
    },
    /** The events of a time, newest first. @param {number} fromMs @param {number} toMs */
    between(fromMs, toMs) {
      return [...known.values()].filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
        .sort((a, b) => b.id - a.id);
    },
    /** @param {number} fromMs @param {number} toMs @returns {Mark[]} */
    marks(fromMs, toMs) {
      return this.between(fromMs, toMs).filter(({ kind }) => bad.has(kind) || good.has(kind))
        .slice(0, marksMax)
        .map(({ atMs, kind, message }) => ({ atMs, isBad: bad.has(kind), text: message }));
    },
  };
}
