/**
 * Makes a screenshot's PNG a third of its size: 256 colours and one byte a pixel in place of four. A page of flat colours
 * and grey-scale letters loses nothing that an eye finds. Colours are chosen by how often they occur.
 */
import { decode, encode } from "npm:fast-png@8.0.0";

const coloursMax = 256;
const commonMax = 160;
/** Fewer pixels than this are the edge of a letter. */
const countMin = 4;

/** The same picture with at most 256 colours. Takes what Chromium writes: true colour, 8 bits, nothing seen through. */
export function toPalettePng(png: Uint8Array): Uint8Array {
  const { width, height, channels, data } = decode(png);
  const colours = Uint32Array.from({ length: width * height }, (_, pixel) => {
    const at = pixel * channels;
    return data[at] << 16 | data[at + 1] << 8 | data[at + 2];
  });
  const counts = new Map<number, number>();
  for (const colour of colours) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  const palette = choosePalette(counts);
  const indexes = new Map(palette.map((colour, index) => [colour, index]));
  const indexed = Uint8Array.from(colours, (colour) => {
    let index = indexes.get(colour);
    if (index === undefined) indexes.set(colour, index = nearest(palette, colour));
    return index;
  });
  const picture = { width, height, channels: 1, data: indexed, palette: palette.map(channelsOf) };
  return encode(picture, { zlib: { level: 9 } });
}

function channelsOf(colour: number): [number, number, number] {
  return [colour >> 16, colour >> 8 & 255, colour & 255];
}

/** Most places go to what occurs most; the others, one by one, to what is least like any chosen: a red dot stays red. */
function choosePalette(counts: ReadonlyMap<number, number>): number[] {
  const byCount = [...counts].sort((a, b) => b[1] - a[1]);
  const palette = byCount.slice(0, commonMax).map(([colour]) => colour);
  const rest = byCount.slice(commonMax).filter(([, count]) => count >= countMin).map(([colour]) => ({
    colour,
    distance: Math.min(...palette.map((chosen) => distanceOf(colour, chosen))),
  }));
  while (palette.length < coloursMax && rest.length > 0) {
    const next = rest.reduce((farthest, each) => each.distance > farthest.distance ? each : farthest);
    if (next.distance === 0) break;
    palette.push(next.colour);
    for (const each of rest) each.distance = Math.min(each.distance, distanceOf(each.colour, next.colour));
  }
  return palette;
}

function distanceOf(one: number, other: number): number {
  const theirs = channelsOf(other);
  return channelsOf(one).reduce((sum, value, at) => sum + (value - theirs[at]) ** 2, 0);
}

function nearest(palette: readonly number[], colour: number): number {
  let best = 0;
  for (const [index, other] of palette.entries()) {
    if (distanceOf(colour, other) < distanceOf(colour, palette[best])) best = index;
  }
  return best;
}
