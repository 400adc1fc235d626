/**
 * Makes a screenshot's PNG a third of its size: 256 colours and one byte a pixel in place of four. A page of flat colours
 * and grey-scale letters loses nothing that an eye finds. Colours are chosen by how often they occur.
 */
import { Buffer } from "node:buffer";
import { crc32, deflateSync, inflateSync } from "node:zlib";

const signature = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]);
const coloursMax = 256;
const commonMax = 160;
/** Fewer pixels than this are the edge of a letter. */
const countMin = 4;

interface Picture {
  width: number;
  height: number;
  /** Three bytes a pixel. */
  rgb: Uint8Array;
}

/** As Chromium writes it: 8 bits, true colour with or without alpha, not interlaced. Throws for any other. */
export function decodePng(bytes: Uint8Array): Picture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data: Uint8Array[] = [];
  let header: Uint8Array | undefined;
  for (let at = signature.length; at < bytes.length;) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") header = body;
    if (type === "IDAT") data.push(body);
    at += length + 12;
  }
  if (!header || header[8] !== 8 || (header[9] !== 2 && header[9] !== 6) || header[12] !== 0) {
    throw new Error("A screenshot must be a PNG of 8 bits in true colour, not interlaced");
  }
  const size = new DataView(header.buffer, header.byteOffset);
  const [width, height] = [size.getUint32(0), size.getUint32(4)];
  const channels = header[9] === 6 ? 4 : 3;
  const lines = unfilter(inflateSync(Buffer.concat(data)), width * channels, height, channels);
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      rgb[pixel * 3 + channel] = lines[pixel * channels + channel];
    }
  }
  return { width, height, rgb };
}

/** Takes the filters off (PNG specification, section 9). */
function unfilter(packed: Uint8Array, lineBytes: number, height: number, step: number): Uint8Array {
  const out = new Uint8Array(lineBytes * height);
  for (let y = 0; y < height; y++) {
    const filter = packed[y * (lineBytes + 1)];
    for (let x = 0; x < lineBytes; x++) {
      const at = y * lineBytes + x;
      const left = x >= step ? out[at - step] : 0;
      const up = y > 0 ? out[at - lineBytes] : 0;
      const corner = x >= step && y > 0 ? out[at - lineBytes - step] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[at] = packed[y * (lineBytes + 1) + 1 + x] + guess;
    }
  }
  return out;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** The same picture with at most 256 colours. */
export function toPalettePng(png: Uint8Array): Uint8Array {
  const { width, height, rgb } = decodePng(png);
  const counts = new Map<number, number>();
  const colourAt = (pixel: number) => rgb[pixel * 3] << 16 | rgb[pixel * 3 + 1] << 8 | rgb[pixel * 3 + 2];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const colour = colourAt(pixel);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const palette = choosePalette(counts);
  const indexes = new Map(palette.map((colour, index) => [colour, index]));
  const lines = new Uint8Array((width + 1) * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const colour = colourAt(pixel);
    let index = indexes.get(colour);
    if (index === undefined) indexes.set(colour, index = nearest(palette, colour));
    lines[Math.floor(pixel / width) * (width + 1) + 1 + pixel % width] = index;
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  // 8 bits a pixel, colour type 3: a palette.
  header.setUint16(8, 8 << 8 | 3);
  return Buffer.concat([
    signature,
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk(
      "PLTE",
      Uint8Array.from(palette.flatMap((colour) => [colour >> 16, colour >> 8 & 255, colour & 255])),
    ),
    chunk("IDAT", deflateSync(lines, { level: 9 })),
    chunk("IEND", new Uint8Array()),
  ]);
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
  const red = (one >> 16) - (other >> 16);
  const green = (one >> 8 & 255) - (other >> 8 & 255);
  const blue = (one & 255) - (other & 255);
  return red * red + green * green + blue * blue;
}

function nearest(palette: readonly number[], colour: number): number {
  let best = 0;
  for (const [index, other] of palette.entries()) {
    if (distanceOf(colour, other) < distanceOf(colour, palette[best])) best = index;
  }
  return best;
}

function chunk(type: string, body: Uint8Array): Uint8Array {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), body]);
  const framed = Buffer.alloc(typed.length + 8);
  framed.writeUInt32BE(body.length, 0);
  typed.copy(framed, 4);
  framed.writeUInt32BE(crc32(typed), typed.length + 4);
  return framed;
}
