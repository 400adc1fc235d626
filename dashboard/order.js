// @ts-check
/** The order of rows: by one value of each, either way; missing values come last in both. Pure. */

/**
 * @typedef {string | number | null | undefined} OrderValue
 * @typedef {{ key: string, down: boolean }} Order
 */

/** Names with numbers in them as people count: `pi-2` before `pi-10`. */
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** @param {OrderValue} value */
function isMissing(value) {
  return value === null || value === undefined || value === "" || Number.isNaN(value);
}

/**
 * @param {OrderValue} a
 * @param {OrderValue} b
 * @param {boolean} down
 */
export function compareValues(a, b, down) {
  if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
  const difference = typeof a === "number" && typeof b === "number"
    ? a - b
    : collator.compare(String(a), String(b));
  return down ? -difference : difference;
}

/**
 * @template Item
 * @param {Item[]} items
 * @param {{ by(item: Item): OrderValue, keyOf(item: Item): string, down: boolean }} order equal ones by key
 * @returns {Item[]}
 */
export function sortItems(items, { by, keyOf, down }) {
  return items.map((item) => ({ item, value: by(item), key: keyOf(item) }))
    .sort((a, b) => compareValues(a.value, b.value, down) || collator.compare(a.key, b.key))
    .map(({ item }) => item);
}

/** As the address has it: `p95Ms`, or `-p95Ms` for the largest first. @param {Order} order */
export function orderText({ key, down }) {
  return `${down ? "-" : ""}${key}`;
}

/**
 * @param {string | null} text
 * @param {string[]} keys those there are
 * @returns {Order | null}
 */
export function parseOrder(text, keys) {
  const key = (text ?? "").replace(/^-/, "");
  return keys.includes(key) ? { key, down: text?.startsWith("-") ?? false } : null;
}
