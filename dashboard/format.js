// @ts-check
/**
 * Numbers and times in words short enough for a tile. Pure: the same in every browser and in the tests.
 * Rates and durations keep two or three digits, because more would only flicker.
 */

const none = "–";

/**
 * @param {number | null | undefined} value
 * @returns {string} e.g. `0`, `0.4`, `12`, `1.3k`, `2.1M`
 */
export function formatNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return none;
  const size = Math.abs(value);
  if (size >= 999_500) return `${trim(value / 1e6)}M`;
  if (size >= 9_995) return `${trim(value / 1e3)}k`;
  return size >= 999.5 ? formatCount(value) : trim(value);
}

/** @param {number} value */
function trim(value) {
  const size = Math.abs(value);
  if (size >= 99.95) return String(Math.round(value));
  if (size >= 9.995) return value.toFixed(1).replace(/\.0$/, "");
  if (size >= 0.0995) return value.toFixed(1).replace(/\.0$/, "");
  return size < 0.005 ? "0" : value.toFixed(2);
}

/**
 * @param {number | null | undefined} value whole things, never shortened
 * @returns {string}
 */
export function formatCount(value) {
  if (value === null || value === undefined) return none;
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * A duration of a request: `0.8 ms`, `12 ms`, `1.4 s`.
 * @param {number | null | undefined} ms
 */
export function formatMs(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return none;
  if (ms >= 59_950) return formatDuration(ms);
  if (ms >= 999.5) return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0).replace(/\.0$/, "")} s`;
  return `${ms < 9.95 ? ms.toFixed(1).replace(/\.0$/, "") : Math.round(ms)} ms`;
}

/**
 * A long duration by its two largest units: `4 s`, `3 min`, `2 h 5 min`, `12 d 3 h`.
 * @param {number} ms
 */
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 30 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/**
 * How long ago, by its largest unit alone, for a narrow column: `12 s`, `2 h`.
 * @param {number} atMs
 * @param {number} nowMs
 */
export function formatShortAge(atMs, nowMs) {
  return formatDuration(nowMs - atMs).split(" ").slice(0, 2).join(" ");
}

/**
 * @param {number | null | undefined} bytes
 * @returns {string} binary units, as memory is sold: `512 KiB`, `1.4 GiB`
 */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return none;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : trim(value)} ${units[unit]}`;
}

/**
 * @param {number | null | undefined} share 0 to 1
 * @returns {string}
 */
export function formatShare(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return none;
  const percent = share * 100;
  if (percent > 0 && percent < 0.95) return `${percent < 0.095 ? "<0.1" : percent.toFixed(1)} %`;
  return `${Math.round(percent)} %`;
}

/** @param {number | null | undefined} celsius */
export function formatTemperature(celsius) {
  return celsius === null || celsius === undefined ? none : `${Math.round(celsius)} °C`;
}

/**
 * @param {number} atMs
 * @param {number} nowMs
 * @returns {string} `just now`, `12 s ago`, `3 min ago`
 */
export function formatAge(atMs, nowMs) {
  const ageMs = nowMs - atMs;
  return ageMs < 1500 ? "just now" : `${formatDuration(ageMs)} ago`;
}

/**
 * The clock of the person who looks: `14:03:07`, with the day in front when it is not today.
 * @param {number} atMs
 * @param {number} nowMs
 */
export function formatTime(atMs, nowMs) {
  const at = new Date(atMs);
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
  if (at.toDateString() === new Date(nowMs).toDateString()) return clock;
  return `${at.getFullYear()}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())} ${clock}`;
}

/** @param {number} value */
function twoDigits(value) {
  return String(value).padStart(2, "0");
}

/**
 * @param {number} outstanding requests that run
 * @param {number} slots requests meant to run at once. More do while some wait for requests of their own, which have
 * their slots meanwhile, and after the slots have become fewer.
 * @returns {string} `3 of 4 slots in use`, `5 running in 4 slots`
 */
export function formatSlots(outstanding, slots) {
  if (outstanding > slots) return `${formatCount(outstanding)} running in ${plural(slots, "slot")}`;
  return `${formatCount(outstanding)} of ${plural(slots, "slot")} in use`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string} `1 agent`, `3 agents`
 */
export function plural(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const hourMs = 3_600_000;
/** Of a shorter time no rate is told: a start writes more than what follows. */
const rateMsMin = 600_000;

/**
 * What the manager writes to its disk, in words: per hour over all of its time, once that is long enough.
 * @param {{ managerDiskWrittenBytes?: number, atMs: number, startedAtMs: number }} cluster
 */
export function formatWrites({ managerDiskWrittenBytes: bytes, atMs, startedAtMs }) {
  if (bytes === undefined) return "not told by this system";
  const upMs = atMs - startedAtMs;
  if (upMs < rateMsMin) return `${formatBytes(bytes)} since its start`;
  return `${formatBytes(bytes * hourMs / upMs)} per hour since its start`;
}
