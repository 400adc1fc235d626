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

/** A window that moves on with the time may jump back a little: the manager's clock is known by each overview anew. */
const slackMs = 10_000;

/** The newest events come with each overview; after a longer pause there may have been more of them than come along. */
const pauseMsMax = 60_000;

/** More would be a curtain, not marks. */
const marksMax = 60;
const eventsMax = 1000;

/**
 * Whether a window is the other, moved on with the time: then what the other does not hold comes with the overviews.
 * @param {{ fromMs: number, toMs: number }} before
 * @param {{ fromMs: number, toMs: number }} next
 */
function followsOn(before, next) {
  return next.fromMs >= before.fromMs - slackMs && next.fromMs <= before.toMs &&
    next.toMs >= before.toMs - slackMs && next.toMs <= before.toMs + pauseMsMax;
}

export function createMarks() {
  /** @type {Map<number, EventView>} */
  const known = new Map();
  /** The window whose events are all known, when `isWhole`. */
  let window = { fromMs: Infinity, toMs: -Infinity };
  let isWhole = false;
  let loading = false;

  /** What lies outside of the window is neither drawn nor kept. @param {EventView[]} events */
  function add(events) {
    for (const event of events) if (isInside(event)) known.set(event.id, event);
  }

  /** @param {EventView} event */
  function isInside({ atMs }) {
    return atMs >= window.fromMs && atMs <= window.toMs;
  }

  return {
    /** The newest events come with every overview. @param {EventView[]} events */
    observe: add,
    /**
     * Moves to a window, and fetches what is not known of it. One that moves on with the time needs only the events that
     * come with the overviews.
     * @param {number} fromMs
     * @param {number} toMs
     */
    async load(fromMs, toMs) {
      if (!followsOn(window, { fromMs, toMs })) isWhole = false;
      window = { fromMs, toMs };
      for (const [id, event] of known) if (!isInside(event)) known.delete(id);
      if (loading || isWhole) return;
      loading = true;
      const asked = window;
      try {
        const events = await getEventsBetween(fromMs, toMs, eventsMax);
        // Another window may have been chosen meanwhile; of that one the next look asks.
        isWhole = followsOn(asked, window);
        add(events);
      } catch {
        // The mark beside the title says when the manager is away; the next look tries again.
      } finally {
        loading = false;
      }
    },
    /** The events of the window, newest first. */
    events: () => [...known.values()].filter(isInside).sort((a, b) => b.id - a.id),
    /** Deploys and failures of a part of it. @param {number} fromMs @param {number} toMs @returns {Mark[]} */
    marks(fromMs, toMs) {
      return this.events().filter(({ kind, atMs }) =>
        (bad.has(kind) || good.has(kind)) && atMs >= fromMs && atMs <= toMs
      ).slice(0, marksMax)
        .map(({ atMs, kind, message }) => ({ atMs, isBad: bad.has(kind), text: message }));
    },
  };
}
