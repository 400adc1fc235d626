// @ts-check
/**
 * What the charts show: for each series that is on screen, its history from `GET /v1/metrics`, then either each
 * second's overview at the right edge (ranges of up to 15 min, which the manager keeps by the second) or a fresh
 * fetch now and then (longer ranges). All times are the manager's.
 */
import { getMetrics } from "./api.js";
import {
  appendPoint,
  appendView,
  createHistory,
  createLivePoints,
  isEmptyBefore,
  trimHistory,
} from "./history.js";

/**
 * @typedef {import("./history.js").History} History
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {{ history: History, close(): void }} Binding
 * @typedef {{ label: string, title: string, rangeMs: number, refreshMs: number, live: boolean }} Range
 */

/** @type {Range[]} */
export const ranges = [
  { label: "5m", title: "last 5 minutes", rangeMs: 300_000, refreshMs: 2000, live: true },
  { label: "15m", title: "last 15 minutes", rangeMs: 900_000, refreshMs: 2000, live: true },
  { label: "1h", title: "last hour", rangeMs: 3600_000, refreshMs: 15_000, live: false },
  { label: "24h", title: "last 24 hours", rangeMs: 86_400_000, refreshMs: 60_000, live: false },
  { label: "30d", title: "last 30 days", rangeMs: 30 * 86_400_000, refreshMs: 300_000, live: false },
];

/** Percentiles can't be added up from the overview's endpoints, so their newest points are fetched. */
const fetchedSeries = "latency";

/** Of a cluster that was started just now, a minute is shown. */
const youngMsMin = 60_000;

/** A stored sample counts for this long, so the first one reaches back before the start. */
const sampleMs = 10_000;

class Source {
  history = createHistory();
  loaded = false;
  refreshedAt = -Infinity;
  /** @type {AbortController | null} */
  fetching = null;
  /** @type {{ timeMs: number, values: Record<string, number> }[]} live points that came while the history was loading */
  early = [];

  /**
   * @param {string} series
   * @param {string | undefined} subject
   * @param {() => void} changed
   */
  constructor(series, subject, changed) {
    this.series = series;
    this.subject = subject;
    this.changed = changed;
  }

  /** @param {number} timeMs @param {import("./history.js").LivePoints} points */
  addLive(timeMs, points) {
    const all = points[this.series];
    if (!all) return;
    const { subject } = this;
    const values = subject === undefined ? all : subject in all ? { [subject]: all[subject] } : {};
    // The first overview after a pause has no rates yet; an empty point would look like none.
    if (Object.keys(values).length === 0) return;
    if (this.loaded) appendPoint(this.history, timeMs, values);
    else this.early.push({ timeMs, values });
  }

  /** @param {number} fromMs @param {number} toMs @param {boolean} whole replaces the history */
  async load(fromMs, toMs, whole) {
    if (this.fetching) return;
    const aborter = new AbortController();
    this.fetching = aborter;
    this.refreshedAt = performance.now();
    try {
      const { series, subject } = this;
      const view = await getMetrics({ series, subject, fromMs, toMs, signal: aborter.signal });
      // One subject is one line; it goes by the subject's name, as in the overview.
      if (subject !== undefined && view.columns.length === 1) view.columns[0].label = subject;
      // The binding object is shared with its chart, so the new data goes into the same history.
      if (whole) {
        this.history.timesMs.length = 0;
        this.history.columns.clear();
      }
      appendView(this.history, view);
      this.loaded = true;
      for (const { timeMs, values } of this.early.splice(0)) appendPoint(this.history, timeMs, values);
      this.changed();
    } catch {
      // No history yet or no connection: the live stream says so to the person; the next round tries again.
    } finally {
      if (this.fetching === aborter) this.fetching = null;
    }
  }

  restart() {
    this.fetching?.abort();
    this.fetching = null;
    this.loaded = false;
    this.early.length = 0;
    this.refreshedAt = -Infinity;
  }
}

/** @typedef {ReturnType<typeof createFeed>} Feed */

export function createFeed() {
  /** @type {Set<Source>} */
  const sources = new Set();
  const toPoints = createLivePoints();
  let range = ranges[0];
  let clockOffsetMs = 0;
  let started = false;
  let startedAtMs = 0;
  let isYoung = false;

  const nowMs = () => performance.now() + clockOffsetMs;

  /** @param {Source} source */
  function refresh(source) {
    const idleMs = performance.now() - source.refreshedAt;
    if (!started || (source.loaded ? idleMs < range.refreshMs : idleMs < 2000)) return;
    // The second under way is not complete; its point would be too low.
    const toMs = nowMs() - 1000;
    const fromMs = nowMs() - range.rangeMs;
    if (!source.loaded || !range.live) source.load(fromMs, toMs, true);
    else if (source.series === fetchedSeries) {
      source.load((source.history.timesMs.at(-1) ?? fromMs) + 1, toMs, false);
    }
  }

  return {
    nowMs,
    range: () => range,
    /** How many points of a rate are averaged: some seconds while live, none of the longer steps. */
    smoothing: () => range.live ? 5 : 1,
    /** The window that charts show: the chosen range, or all there is of a cluster that is younger than that. */
    window() {
      const toMs = nowMs();
      const fromMs = toMs - range.rangeMs;
      return { fromMs: isYoung ? Math.max(fromMs, Math.min(startedAtMs, toMs - youngMsMin)) : fromMs, toMs };
    },
    /**
     * Follows one series, of one subject or of all, until closed.
     * @param {string} series
     * @param {string | undefined} subject
     * @param {() => void} changed called when a fetch has arrived; each second's points come before the views' own update
     * @returns {Binding}
     */
    bind(series, subject, changed) {
      const source = new Source(series, subject, changed);
      sources.add(source);
      refresh(source);
      return {
        history: source.history,
        close() {
          source.restart();
          sources.delete(source);
        },
      };
    },
    /** @param {Range} next */
    setRange(next) {
      range = next;
      for (const source of sources) {
        source.restart();
        refresh(source);
      }
    },
    /** @param {OverviewView} overview */
    observe(overview) {
      clockOffsetMs = overview.cluster.atMs - performance.now();
      started = true;
      const points = toPoints(overview);
      for (const source of sources) {
        if (range.live) source.addLive(overview.cluster.atMs, points);
        trimHistory(source.history, nowMs() - range.rangeMs);
        refresh(source);
      }
      startedAtMs = overview.cluster.startedAtMs;
      isYoung = startedAtMs > nowMs() - range.rangeMs &&
        [...sources].every(({ history }) => isEmptyBefore(history, startedAtMs - sampleMs));
    },
  };
}
