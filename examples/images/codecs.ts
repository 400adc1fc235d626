/**
 * Files ↔ pixels for the two formats of the web. The decoding itself is done by the vendored bundle; here its
 * many pixel layouts (grey, palette, 16 bits, no alpha) become one.
 */
// @ts-types="./vendor/codecs.d.ts"
import { type DecodedPng, decodeJpeg, decodePng, encodeJpeg, encodePng } from "./vendor/codecs.js";
import type { Picture } from "./scale.ts";

export type Format = "png" | "jpeg";

/** Larger ones would not fit the runner's memory: four bytes a pixel, and the decoder's own copies. */
const pixelsMax = 24_000_000;

/** Throws when the bytes are neither PNG nor JPEG, are damaged, or hold more than 24 million pixels. */
export function decodePicture(file: Uint8Array): { format: Format; picture: Picture } {
  const format = formatOf(file);
  if (format === "jpeg") {
    const { width, height, data } = decodeJpeg(file, {
      useTArray: true,
      formatAsRGBA: true,
      maxResolutionInMP: pixelsMax / 1_000_000,
    });
    return { format, picture: { width, height, data } };
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const pixels = file.length >= 24 ? view.getUint32(16) * view.getUint32(20) : 0;
  if (pixels > pixelsMax) throw new RangeError(`A PNG may hold ${pixelsMax} pixels, this one has ${pixels}`);
  return { format, picture: toRgba(decodePng(file)) };
}

/** `quality` from 1 to 100 is for JPEG; PNG keeps every pixel. */
export function encodePicture(picture: Picture, format: Format, quality = 80): Uint8Array {
  if (format === "jpeg") return new Uint8Array(encodeJpeg(picture, quality).data);
  return encodePng({ ...picture, channels: 4, depth: 8 });
}

function formatOf(file: Uint8Array): Format {
  if (file[0] === 0x89 && file[1] === 0x50 && file[2] === 0x4e && file[3] === 0x47) return "png";
  if (file[0] === 0xff && file[1] === 0xd8) return "jpeg";
  throw new TypeError("A picture must be a PNG or JPEG file, its first bytes are of neither");
}

/** One pixel layout out of PNG's many: 1 to 4 channels of 1 to 16 bits, or a palette. */
function toRgba(png: DecodedPng): Picture {
  const { width, height, palette, channels } = png;
  const data = new Uint8Array(width * height * 4);
  const scale = 255 / (2 ** png.depth - 1);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const sample = (channel: number) =>
      png.depth < 8 ? packedSample(png, pixel) : png.data[pixel * channels + channel];
    if (palette) {
      const [red, green, blue, alpha = 255] = palette[sample(0)];
      data.set([red, green, blue, alpha], pixel * 4);
      continue;
    }
    const grey = channels < 3;
    data[pixel * 4] = sample(0) * scale;
    data[pixel * 4 + 1] = sample(grey ? 0 : 1) * scale;
    data[pixel * 4 + 2] = sample(grey ? 0 : 2) * scale;
    data[pixel * 4 + 3] = channels % 2 === 0 ? sample(channels - 1) * scale : 255;
  }
  return { width, height, data };
}

/** Samples of less than 8 bits are packed from the high end of each byte, and each row starts a new byte. */
function packedSample(png: DecodedPng, pixel: number): number {
  const perByte = 8 / png.depth;
  const rowBytes = Math.ceil(png.width / perByte);
  const x = pixel % png.width;
  const byte = png.data[Math.floor(pixel / png.width) * rowBytes + Math.floor(x / perByte)];
  return (byte >> (8 - png.depth * ((x % perByte) + 1))) & (2 ** png.depth - 1);
}
