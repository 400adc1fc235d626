// @ts-check
/**
 * A line without axes for tiles, cards and tables: the shape of the last minutes at a glance. Drawn only while it is on
 * screen and only when it has changed: a page may hold hundreds.
 */
import { onThemeChange, resolveColour, withAlpha } from "./colours.js";
import { h } from "./dom.js";
import { isolatedPoints } from "./history.js";

/** @type {WeakMap<Element, (isVisible: boolean) => void>} */
const seen = new WeakMap();
/** @type {IntersectionObserver | null} */
let watcher = null;

/** @param {Element} element @param {(isVisible: boolean) => void} change */
function watch(element, change) {
  watcher ??= new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen.get(target)?.(isIntersecting);
  }, { rootMargin: "100px" });
  seen.set(element, change);
  watcher.observe(element);
}

/** Counts the themes that there have been, for what is drawn in the colours of one. */
let theme = 0;
onThemeChange(() => theme++);

/**
 * @param {{ width: number, height: number, colour: string, topMin: number }} options CSS pixels; `topMin` is the
 *   value that at least fits, so that noise near zero stays low
 */
export function createSparkline({ width, height, colour, topMin }) {
  const ratio = Math.min(2, globalThis.devicePixelRatio || 1);
  const element = h("canvas", {
    class: "sparkline",
    width: Math.round(width * ratio),
    height: Math.round(height * ratio),
    "aria-hidden": "true",
  });
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
  const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
  /** @type {(number | null)[]} */
  let values = [];
  let isVisible = false;
  let drawn = "";
  watch(element, (now) => {
    isVisible = now;
    if (isVisible) draw();
  });

  /** @param {(number | null)[]} next oldest first */
  function update(next) {
    values = next;
    if (isVisible) draw();
  }

  function draw() {
    const picture = `${theme} ${values.join()}`;
    if (picture === drawn) return;
    drawn = picture;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (values.length >= 2) paint(resolveColour(colour));
  }

  /** @param {string} shade */
  function paint(shade) {
    const top = values.reduce((/** @type {number} */ most, value) => Math.max(most, value ?? 0), topMin);
    const stepX = width / (values.length - 1);
    const y = (/** @type {number} */ value) => height - 1.5 - (value / top) * (height - 3);
    const [line, area] = [new Path2D(), new Path2D()];
    let from = -1;
    values.forEach((value, index) => {
      if (value === null) return;
      const x = index * stepX;
      if (from < 0) {
        from = index;
        line.moveTo(x, y(value));
        area.moveTo(x, height);
      } else line.lineTo(x, y(value));
      area.lineTo(x, y(value));
      if (values[index + 1] !== null && index + 1 < values.length) return;
      // A gap is not drawn over: what was in it is not known.
      area.lineTo(x, height);
      from = -1;
    });
    context.fillStyle = withAlpha(shade, 0.13);
    context.fill(area);
    context.strokeStyle = shade;
    context.lineWidth = 1.4;
    context.lineJoin = "round";
    context.stroke(line);
    context.fillStyle = shade;
    for (const index of isolatedPoints(values)) {
      context.fillRect(index * stepX - 1, y(values[index] ?? 0) - 1, 2, 2);
    }
  }

  return { element, update };
}
