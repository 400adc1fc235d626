/**
 * The replicaSet `maths`, second half: square tiles of the Mandelbrot set, numbered as map tiles are. Zoom 0 is one
 * tile of the whole set (real -2.5 to 1.5, imaginary 2 to -2); each further zoom cuts every tile into four.
 */
import { colourOf, iterationsMax } from "./palette.ts";

const left = -2.5;
const top = 2;
const extent = 4;

/** Draws one tile as a binary PPM picture (P6). */
export function tile(
  input: { zoom: number; x: number; y: number; size?: number },
): Uint8Array {
  const { zoom, x, y, size = 256 } = input;
  const tiles = 2 ** zoom;
  if (x >= tiles || y >= tiles) {
    throw new RangeError(`At zoom ${zoom} x and y must be below ${tiles}, they are ${x} and ${y}`);
  }
  const header = new TextEncoder().encode(`P6\n${size} ${size}\n255\n`);
  const file = new Uint8Array(header.length + size * size * 3);
  file.set(header);
  const pixel = extent / tiles / size;
  let at = header.length;
  for (let row = 0; row < size; row++) {
    const imaginary = top - (y * size + row + 0.5) * pixel;
    for (let column = 0; column < size; column++) {
      const real = left + (x * size + column + 0.5) * pixel;
      file.set(colourOf(escapeTime(real, imaginary)), at);
      at += 3;
    }
  }
  return file;
}

export const endpoints = {
  tile: {
    input: {
      type: "object",
      required: ["zoom", "x", "y"],
      additionalProperties: false,
      properties: {
        zoom: { type: "integer", minimum: 0, maximum: 30 },
        x: { type: "integer", minimum: 0 },
        y: { type: "integer", minimum: 0 },
        size: { type: "integer", minimum: 1, maximum: 1024 },
      },
    },
    timeoutMs: 30_000,
    idempotent: true,
  },
};

/** Steps of z ← z² + c until |z| > 2, at most `iterationsMax`. */
function escapeTime(real: number, imaginary: number): number {
  // The main cardioid and the disc beside it never escape, and hold most of the set's area.
  const fromCusp = (real - 0.25) ** 2 + imaginary ** 2;
  if (fromCusp * (fromCusp + real - 0.25) <= imaginary ** 2 / 4) return iterationsMax;
  if ((real + 1) ** 2 + imaginary ** 2 <= 1 / 16) return iterationsMax;
  let zr = 0;
  let zi = 0;
  let steps = 0;
  for (; steps < iterationsMax && zr * zr + zi * zi <= 4; steps++) {
    const next = zr * zr - zi * zi + real;
    zi = 2 * zr * zi + imaginary;
    zr = next;
  }
  return steps;
}
