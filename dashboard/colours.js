// @ts-check
/**
 * One colour per name, the same in every chart, card and table. A name's hash prefers a colour; the next free one
 * is taken when another name of its kind has it already, so that up to eight names never share one.
 */

/** Colours are custom properties in style.css, `--series-0` to `--series-7`, in a light and a dark shade. */
const colourCount = 8;

/**
 * @typedef {"agent" | "endpoint" | "replicaSet"} ColourKind
 * @typedef {object} Palette
 * @property {(kind: ColourKind, names: string[]) => void} assign gives every name its colour before any is drawn,
 *   in an order that does not depend on what is drawn first, so that a reload gives the same colours
 * @property {(kind: ColourKind, name: string) => string} of the CSS value, which follows the theme by itself
 */

/** @returns {Palette} */
export function createPalette() {
  /** @type {Map<string, { byName: Map<string, number>, uses: number[] }>} */
  const kinds = new Map();

  /**
   * @param {ColourKind} kind
   * @param {string} name
   */
  function indexOf(kind, name) {
    let entry = kinds.get(kind);
    if (!entry) kinds.set(kind, entry = { byName: new Map(), uses: new Array(colourCount).fill(0) });
    let index = entry.byName.get(name);
    if (index !== undefined) return index;
    const usesMin = Math.min(...entry.uses);
    index = hash(name) % colourCount;
    while (entry.uses[index] > usesMin) index = (index + 1) % colourCount;
    entry.uses[index]++;
    entry.byName.set(name, index);
    return index;
  }

  return {
    assign(kind, names) {
      for (const name of [...names].sort()) indexOf(kind, name);
    },
    of: (kind, name) => `var(--series-${indexOf(kind, name)})`,
  };
}

/**
 * FNV-1a, 32 bits (Fowler, Noll and Vo, 1991).
 * @param {string} text
 */
function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}

/**
 * Asking the browser for a style makes it work out all that changed; hundreds of lines ask each second.
 * @type {Map<string, string>}
 */
const resolved = new Map();
// Before any chart listens, so that none of them is told the old colour.
if ("matchMedia" in globalThis) onThemeChange(() => resolved.clear());

/**
 * The colour itself, for a canvas, which knows no custom properties. To be asked again when the theme changes.
 * @param {string} value e.g. `var(--series-3)`
 * @returns {string} e.g. `#0b8a78`
 */
export function resolveColour(value) {
  const name = /^var\((--[\w-]+)\)$/.exec(value)?.[1];
  if (!name) return value;
  let colour = resolved.get(name);
  if (colour === undefined) {
    colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    resolved.set(name, colour);
  }
  return colour;
}

/**
 * @param {string} hex `#rrggbb`
 * @param {number} alpha 0 to 1
 */
export function withAlpha(hex, alpha) {
  return `${hex}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/**
 * Tells when the theme changed, by choice or by the system. Returns the function that stops it.
 * @param {() => void} listener
 */
export function onThemeChange(listener) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", listener);
  addEventListener("sqwish-theme", listener);
  return () => {
    query.removeEventListener("change", listener);
    removeEventListener("sqwish-theme", listener);
  };
}
