// @ts-check
/**
 * A chart's data as columns over one time axis: fetched once, extended by each second's overview, trimmed at the
 * left. Pure but for the arrays it owns. Invariant: every column is as long as the axis, and the axis only grows.
 */

/**
 * @typedef {import("../lib/protocol/views.ts").MetricsView} MetricsView
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {(number | null)[]} Values
 * @typedef {{ timesMs: number[], columns: Map<string, Values> }} History
 * @typedef {{ label: string, values: Values }} Column
 * @typedef {Record<string, Record<string, number>>} LivePoints by series, then by label
 */

/** The label of the column that stands for what the top ones leave over: their sum, or their mean. */
export const othersLabel = "others";

/** The overview comes each second; when none came for longer than this, nothing is known of the time in between. */
const silenceMsMax = 5000;

/** @returns {History} */
export function createHistory() {
  return { timesMs: [], columns: new Map() };
}

/**
 * Adds the points of `view` that are newer than the history's last one.
 * @param {History} history
 * @param {MetricsView} view
 */
export function appendView(history, view) {
  const lastMs = history.timesMs.at(-1) ?? -Infinity;
  let first = view.timesMs.findIndex((timeMs) => timeMs > lastMs);
  if (first < 0) first = view.timesMs.length;
  const count = view.timesMs.length - first;
  if (count === 0) return;
  const before = history.timesMs.length;
  history.timesMs.push(...view.timesMs.slice(first));
  for (const { label, values } of view.columns) columnOf(history, label, before).push(...values.slice(first));
  pad(history);
}

/**
 * Adds one moment. A label that is missing has no value then; a new label has none before.
 * @param {History} history
 * @param {number} timeMs not older than the last one by half a second, or the point is dropped
 * @param {Record<string, number>} values by label
 */
export function appendPoint(history, timeMs, values) {
  const lastMs = history.timesMs.at(-1) ?? -Infinity;
  if (timeMs - lastMs < 500) return;
  if (timeMs - lastMs > silenceMsMax && history.timesMs.length > 0) {
    history.timesMs.push(lastMs + 1000);
    pad(history);
  }
  const before = history.timesMs.length;
  history.timesMs.push(timeMs);
  for (const [label, value] of Object.entries(values)) columnOf(history, label, before).push(value);
  pad(history);
}

/**
 * @param {History} history
 * @param {string} label
 * @param {number} length of a column made now
 */
function columnOf(history, label, length) {
  let column = history.columns.get(label);
  if (!column) history.columns.set(label, column = new Array(length).fill(null));
  return column;
}

/** @param {History} history */
function pad(history) {
  for (const column of history.columns.values()) {
    while (column.length < history.timesMs.length) column.push(null);
  }
}

/**
 * Forgets what is older than `fromMs`, but one point, so that lines reach the left edge; and labels with no value left.
 * @param {History} history
 * @param {number} fromMs
 */
export function trimHistory(history, fromMs) {
  let count = history.timesMs.findIndex((timeMs) => timeMs >= fromMs);
  if (count < 0) count = history.timesMs.length;
  count = Math.max(0, count - 1);
  if (count === 0) return;
  history.timesMs.splice(0, count);
  for (const [label, column] of history.columns) {
    column.splice(0, count);
    if (column.every((value) => value === null)) history.columns.delete(label);
  }
}

/**
 * The `countMax` busiest columns by name, and the rest as "others". A column that was shown before stays
 * until another is a fifth busier, so that the picture is calm.
 * @param {History} history
 * @param {number} countMax
 * @param {"sum" | "mean"} rest rates add up, shares of machines do not
 * @param {string[]} [shown] the labels of the last answer
 * @returns {Column[]}
 */
export function topColumns(history, countMax, rest, shown = []) {
  const entries = [...history.columns].map(([label, values]) => ({ label, values }));
  if (entries.length <= countMax) return entries.sort(byLabel);
  const weights = new Map(entries.map(({ label, values }) => {
    const sum = values.reduce((total, value) => /** @type {number} */ (total) + (value ?? 0), 0) ?? 0;
    return [label, shown.includes(label) ? sum * 1.2 : sum];
  }));
  entries.sort((a, b) => (weights.get(b.label) ?? 0) - (weights.get(a.label) ?? 0) || byLabel(a, b));
  const top = entries.slice(0, countMax).sort(byLabel);
  const combine = rest === "sum" ? sumColumns : meanColumns;
  return [...top, { label: othersLabel, values: combine(entries.slice(countMax), history.timesMs.length) }];
}

/**
 * @param {Column} a
 * @param {Column} b
 */
function byLabel(a, b) {
  return a.label < b.label ? -1 : a.label > b.label ? 1 : 0;
}

/**
 * Column by column; null only where all are.
 * @param {{ values: Values }[]} columns
 * @param {number} length
 * @returns {Values}
 */
export function sumColumns(columns, length) {
  /** @type {Values} */
  const sums = new Array(length).fill(null);
  for (const { values } of columns) {
    for (let index = 0; index < length; index++) {
      const value = values[index];
      if (value !== null && value !== undefined) sums[index] = (sums[index] ?? 0) + value;
    }
  }
  return sums;
}

/**
 * The mean of the columns that have a value.
 * @param {{ values: Values }[]} columns
 * @param {number} length
 * @returns {Values}
 */
function meanColumns(columns, length) {
  return sumColumns(columns, length).map((sum, index) => {
    const count = columns.filter(({ values }) => typeof values[index] === "number").length;
    return sum === null ? null : sum / count;
  });
}

/**
 * The mean of each point and those before it. Single requests of a quiet cluster would else be a picket fence.
 * @param {Values} values of counts: a gap after the first value is a zero
 * @param {number} width points
 * @returns {Values}
 */
export function smooth(values, width) {
  const start = values.findIndex((value) => value !== null);
  let sum = 0;
  return values.map((value, index) => {
    if (start < 0 || index < start) return null;
    sum += value ?? 0;
    if (index - width >= start) sum -= values[index - width] ?? 0;
    // Adding and taking away leaves dust below zero.
    return Math.max(0, sum / Math.min(width, index - start + 1));
  });
}

/**
 * Each column plus all before it, for stacked areas. Stacks are of counts, and nothing is recorded while nothing
 * happens: a gap in one is a zero. Where all have one, nothing is known.
 * @param {Column[]} columns
 * @returns {Column[]}
 */
export function stackColumns(columns) {
  const total = sumColumns(columns, columns[0]?.values.length ?? 0);
  /** @type {Values} */
  let below = [];
  return columns.map(({ label, values }) => {
    below = values.map((value, index) => total[index] === null ? null : (below[index] ?? 0) + (value ?? 0));
    return { label, values: below };
  });
}

/**
 * Closes gaps that are no longer than `gapMsMax` by a straight line: percentiles exist only for seconds with requests.
 * Longer ones stay open, since nobody knows what was in between.
 * @param {Values} values
 * @param {number[]} timesMs
 * @param {number} gapMsMax
 * @returns {Values}
 */
export function bridgeGaps(values, timesMs, gapMsMax) {
  const bridged = [...values];
  let last = -1;
  values.forEach((value, index) => {
    if (value === null) return;
    const before = last < 0 ? null : values[last];
    if (before !== null && index - last > 1 && timesMs[index] - timesMs[last] <= gapMsMax) {
      for (let at = last + 1; at < index; at++) {
        const share = (timesMs[at] - timesMs[last]) / (timesMs[index] - timesMs[last]);
        bridged[at] = before + (value - before) * share;
      }
    }
    last = index;
  });
  return bridged;
}

/**
 * The points that no line reaches, because both neighbours are missing: they must be drawn as points.
 * @param {ArrayLike<number | null | undefined>} values
 * @returns {number[]} their indexes
 */
export function isolatedPoints(values) {
  /** @type {number[]} */
  const found = [];
  const isThere = (/** @type {number} */ index) => values[index] !== null && values[index] !== undefined;
  for (let index = 0; index < values.length; index++) {
    if (isThere(index) && !isThere(index - 1) && !isThere(index + 1)) found.push(index);
  }
  return found;
}

/**
 * Whether nothing but zeros and gaps lies before `timeMs`: a manager that was restarted has older data, a new one not.
 * @param {History} history
 * @param {number} timeMs
 */
export function isEmptyBefore(history, timeMs) {
  let count = history.timesMs.findIndex((time) => time >= timeMs);
  if (count < 0) count = history.timesMs.length;
  for (const values of history.columns.values()) {
    for (let index = 0; index < count; index++) if ((values[index] ?? 0) > 0) return false;
  }
  return true;
}

/**
 * Whether a column has anything to show but zeros.
 * @param {Column} column
 */
export function hasValue({ values }) {
  return values.some((value) => value !== null && value > 0);
}

/**
 * Turns each overview into the second's points. Rates come from the differences of totals, which are exact also
 * over a gap; a total that shrank (the manager was restarted) starts anew.
 * @returns {(overview: OverviewView) => LivePoints}
 */
export function createLivePoints() {
  /** @type {{ atMs: number, totals: Map<string, { requests: number, errors: number }> } | null} */
  let before = null;
  return (overview) => {
    const { atMs } = overview.cluster;
    const seconds = before ? (atMs - before.atMs) / 1000 : 0;
    const totals = new Map(
      overview.endpoints.map((
        view,
      ) => [view.endpoint, { requests: view.totalRequests, errors: view.totalErrors }]),
    );
    /** @type {LivePoints} */
    const points = {
      requests: {},
      errors: {},
      queue: {},
      cpu: {},
      memory: {},
      temperature: {},
      outstanding: {},
    };
    for (const [endpoint, total] of totals) {
      const last = before?.totals.get(endpoint);
      if (!last || seconds <= 0) continue;
      points.requests[endpoint] = Math.max(0, total.requests - last.requests) / seconds;
      points.errors[endpoint] = Math.max(0, total.errors - last.errors) / seconds;
    }
    for (const set of overview.replicaSets) points.queue[set.name] = set.queued;
    for (const agent of overview.agents) addAgent(points, agent);
    before = { atMs, totals };
    return points;
  };
}

/**
 * @param {LivePoints} points
 * @param {import("../lib/protocol/views.ts").AgentView} agent
 */
function addAgent(points, agent) {
  // What a lost agent said last is not what it does now.
  if (agent.health === "lost") return;
  points.outstanding[agent.name] = agent.outstanding;
  if (!agent.host) return;
  points.cpu[agent.name] = agent.host.cpu;
  points.memory[agent.name] = agent.host.memoryUsedBytes;
  if (agent.host.temperatureC !== undefined) points.temperature[agent.name] = agent.host.temperatureC;
}
