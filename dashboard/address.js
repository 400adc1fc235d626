// @ts-check
/** What the address says beside the view: range, order and filters of tables, so that what one sees can be sent to another. */

function query() {
  return new URLSearchParams(location.hash.split("?")[1] ?? "");
}

/** @param {string} name */
export function addressValue(name) {
  return query().get(name);
}

/**
 * Writes values into the address, beside what else it says. The view is not shown anew by that.
 * @param {Record<string, string | null>} values null takes one out
 */
export function setAddressValues(values) {
  const [path] = (location.hash || "#/overview").split("?");
  const next = query();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") next.delete(name);
    else next.set(name, value);
  }
  const text = String(next);
  history.replaceState(null, "", text === "" ? path : `${path}?${text}`);
}
