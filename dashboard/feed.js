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
import { createMarks } from "./marks.js";

/**
 * @typedef {import("./history.js").History} History
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {{ history: History, close(): void }} Binding
 * @typedef {{ label: string, title: string, rangeMs: number, refreshMs: number, live: boolean, toMs?: number }} Range
 * `toMs`: it ends there, and does not move on with the time
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

/** Series that the manager knows by 10 s only are fetched whole, this often. */
const slowRefreshMs = 10_000;

/** What is older than the range is forgotten when there is this much of it: hundreds of columns are moved then. */
const trimMs = 15_000;

/** A zoom can't be into less than this. */
export const zoomMsMin = 5000;

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
    this.isSlow = /^(revision|agent)[A-Z]/.test(series);
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
      if (subject !== undefined && !this.isSlow && view.columns.length === 1) view.columns[0].label = subject;
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

  /** Fetches what is due of a range. @param {Range} range @param {number} nowMs */
  refresh(range, nowMs) {
    const idleMs = performance.now() - this.refreshedAt;
    const waitMs = this.loaded ? range.live && this.isSlow ? slowRefreshMs : range.refreshMs : 2000;
    if (idleMs < waitMs) return;
    // The second under way is not complete; its point would be too low.
    const toMs = range.toMs ?? nowMs - 1000;
    const { fromMs } = spanOf(range, nowMs);
    if (!this.loaded || !range.live || this.isSlow) this.load(fromMs, toMs, true);
    else if (this.series === fetchedSeries) {
      this.load((this.history.timesMs.at(-1) ?? fromMs) + 1, toMs, false);
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

/** @param {Range} range @param {number} nowMs */
function spanOf(range, nowMs) {
  const toMs = range.toMs ?? nowMs;
  return { fromMs: toMs - range.rangeMs, toMs };
}

/** A time in the past, as a range. @param {number} fromMs @param {number} toMs @returns {Range} */
export function zoomRange(fromMs, toMs) {
  const title = "the time that was dragged over";
  return { label: "zoom", title, rangeMs: toMs - fromMs, refreshMs: Infinity, live: false, toMs };
}

/**
 * The manager's clock, the time that charts show, and what happened in it.
 * @param {(range: Range) => void} onZoom a time was dragged over
 */
function createTimes(onZoom) {
  const marks = createMarks();
  let range = ranges[0];
  let clockOffsetMs = 0;
  let started = false;
  /** When a cluster began of which all there is fits the range; null when older data may be shown. */
  let youngFromMs = /** @type {number | null} */ (null);

  const nowMs = () => performance.now() + clockOffsetMs;
  const span = () => spanOf(range, nowMs());

  function loadMarks() {
    const { fromMs, toMs } = span();
    if (started) marks.load(fromMs, toMs);
  }

  /** The window that charts show: the chosen range, or all there is of a cluster that is younger than that. */
  function window() {
    const { fromMs, toMs } = span();
    const youngMs = youngFromMs === null ? fromMs : Math.min(youngFromMs, toMs - youngMsMin);
    return { fromMs: Math.max(fromMs, youngMs), toMs };
  }

  return {
    nowMs,
    range: () => range,
    hasStarted: () => started,
    /** How many points of a rate are averaged: some seconds while live, none of the longer steps. */
    smoothing: () => range.live ? 5 : 1,
    /** How long a gap between two percentiles may be that a line goes over. */
    gapMsMax: () => Math.max(30_000, range.rangeMs / 100),
    window,
    /** Deploys and failures of the window that charts show. */
    marks() {
      const { fromMs, toMs } = window();
      return marks.marks(fromMs, toMs);
    },
    /** Whether a time in the past is shown, and not the present. */
    isPast: () => range.toMs !== undefined,
    /** The moment that is shown: now, or the end of a time in the past. */
    atMs: () => span().toMs,
    span,
    /** Null while the charts show now; else the events of the time they show, newest first. */
    pastEvents: () => range.toMs === undefined ? null : marks.events(),
    /** Shows a time in the past. @param {number} fromMs @param {number} toMs */
    zoom(fromMs, toMs) {
      if (toMs - fromMs >= zoomMsMin) onZoom(zoomRange(fromMs, toMs));
    },
    /** @param {Range} next */
    setRange(next) {
      range = next;
      loadMarks();
    },
    /** @param {OverviewView} overview */
    observe(overview) {
      clockOffsetMs = overview.cluster.atMs - performance.now();
      started = true;
      loadMarks();
      marks.observe(overview.events);
    },
    /** @param {number} startedAtMs @param {() => boolean} isAll no series has anything from before */
    observeAge(startedAtMs, isAll) {
      const isYoung = range.toMs === undefined && startedAtMs > nowMs() - range.rangeMs && isAll();
      youngFromMs = isYoung ? startedAtMs : null;
    },
  };
}

/** @param {(range: Range) => void} [onZoom] a time was dragged over */
export function createFeed(onZoom = () => {}) {
  /** @type {Set<Source>} */
  const sources = new Set();
  const toPoints = createLivePoints();
  const times = createTimes(onZoom);

  /** @param {Source} source */
  function refresh(source) {
    if (times.hasStarted()) source.refresh(times.range(), times.nowMs());
  }

  return {
    ...times,
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
      times.setRange(next);
      for (const source of sources) {
        source.restart();
        refresh(source);
      }
    },
    /** @param {OverviewView} overview */
    observe(overview) {
      times.observe(overview);
      const range = times.range();
      const points = toPoints(overview);
      const { atMs, startedAtMs } = overview.cluster;
      for (const source of sources) {
        if (range.live) source.addLive(atMs, points);
        const fromMs = times.nowMs() - range.rangeMs;
        const isLong = (source.history.timesMs[0] ?? fromMs) < fromMs - trimMs;
        if (range.toMs === undefined && isLong) trimHistory(source.history, fromMs);
        refresh(source);
      }
      const isAll = () => [...sources].every(({ history }) => isEmptyBefore(history, startedAtMs - sampleMs));
      times.observeAge(startedAtMs, isAll);
    },
  };
}
