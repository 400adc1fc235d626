// @ts-check
/** A line without axes for tiles, cards and tables: the shape of the last minutes at a glance. */
import { resolveColour, withAlpha } from "./colours.js";
import { h } from "./dom.js";

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

  /** @param {(number | null)[]} values oldest first */
  function update(values) {
    const shade = resolveColour(colour);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (values.length < 2) return;
    const top = values.reduce((/** @type {number} */ most, value) => Math.max(most, value ?? 0), topMin);
    const stepX = width / (values.length - 1);
    const y = (/** @type {number} */ value) => height - 1.5 - (value / top) * (height - 3);
    const line = new Path2D();
    let drawing = false;
    let firstX = 0;
    let lastX = 0;
    for (let index = 0; index < values.length; index++) {
      const value = values[index];
      if (value === null) continue;
      lastX = index * stepX;
      if (!drawing) firstX = lastX;
      if (drawing) line.lineTo(lastX, y(value));
      else line.moveTo(lastX, y(value));
      drawing = true;
    }
    if (!drawing) return;
    const area = new Path2D(line);
    area.lineTo(lastX, height);
    area.lineTo(firstX, height);
    context.fillStyle = withAlpha(shade, 0.13);
    context.fill(area);
    context.strokeStyle = shade;
    context.lineWidth = 1.4;
    context.lineJoin = "round";
    context.stroke(line);
  }

  return { element, update };
}
