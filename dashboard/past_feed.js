// @ts-check
/** Fetches once what a time in the past is described by, and keeps it until another time is chosen. */
import { getEventsBetween, getPast, getPastEndpoints } from "./api.js";
import { describePast, pastKinds } from "./past.js";

/**
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("./past.js").PastFacts} PastFacts
 */

/** The newest of them tell how each agent was. */
const eventsMax = 1000;
const retryMs = 3000;

/** @param {() => void} changed what was asked for has come */
export function createPast(changed) {
  let key = "";
  /** @type {PastFacts | null} */
  let facts = null;
  let askedAt = -Infinity;

  /** @param {number} fromMs @param {number} toMs */
  async function load(fromMs, toMs) {
    const own = key;
    // One question at a time: a manager that is slow to answer gets no second one.
    askedAt = Infinity;
    try {
      const first = Promise.all([
        getEventsBetween(0, toMs + 1, eventsMax, { kind: pastKinds.join(",") }),
        getPast(toMs),
      ]);
      // Of many endpoints and a long time it takes longer: what is known before is shown before.
      const last = getPastEndpoints(fromMs, toMs);
      last.catch(() => {});
      const [events, past] = await first;
      if (own !== key) return;
      facts = { events: events.sort((a, b) => a.id - b.id), past, endpoints: null };
      changed();
      const endpoints = await last;
      if (own !== key) return;
      facts.endpoints = endpoints;
      changed();
    } catch {
      // The mark beside the title says when the manager is away; a later look tries again.
      if (own === key) askedAt = performance.now();
    }
  }

  return {
    /**
     * What the views shall show of the time that ends at `toMs`; null until it is known.
     * @param {OverviewView} now
     * @param {number} fromMs
     * @param {number} toMs
     */
    describe(now, fromMs, toMs) {
      const asked = `${fromMs} ${toMs}`;
      if (asked !== key) {
        key = asked;
        facts = null;
        askedAt = -Infinity;
      }
      if (!facts?.endpoints && performance.now() - askedAt > retryMs) load(fromMs, toMs);
      return facts && describePast(now, facts, toMs);
    },
  };
}
