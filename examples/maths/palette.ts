/** Colours for the Mandelbrot tiles: black inside the set, and outside a cycle of blues and ambers. */

export const iterationsMax = 1000;

/** Red, green and blue from 0 to 255 for a number of steps. */
export function colourOf(steps: number): [number, number, number] {
  if (steps >= iterationsMax) return [0, 0, 0];
  // The logarithm spreads the few steps of the outside and squeezes the many of the border.
  const phase = Math.log2(steps + 1) * 1.2;
  return [wave(phase + 3.6), wave(phase + 4.2), wave(phase + 5.2)];
}

function wave(phase: number): number {
  return Math.round(127.5 + 127.5 * Math.sin(phase));
}
