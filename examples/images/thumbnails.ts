/**
 * The replicaSet `images`: small versions of PNG and JPEG files, and what can be known of one.
 * Both endpoints take the file's own bytes. Runs with no permissions at all.
 */
import type { Context } from "sqwish";
import { decodePicture, encodePicture } from "./codecs.ts";
import { meanColour, scaleDown } from "./scale.ts";

const edgeMax = 2048;

/** Makes a thumbnail that fits a square of `edge` pixels (a header; 160 when absent), in the format that came in. */
export function thumbnail(file: Uint8Array, ctx: Context): Uint8Array {
  const edge = Number(ctx.headers["edge"] ?? ctx.env["EDGE"] ?? 160);
  if (!Number.isInteger(edge) || edge < 1 || edge > edgeMax) {
    throw new RangeError(`edge must be a whole number from 1 to ${edgeMax}, is ${ctx.headers["edge"]}`);
  }
  const { format, picture } = decodePicture(file);
  const factor = Math.min(1, edge / Math.max(picture.width, picture.height));
  const small = scaleDown(
    picture,
    Math.max(1, Math.round(picture.width * factor)),
    Math.max(1, Math.round(picture.height * factor)),
  );
  return encodePicture(small, format, Number(ctx.env["QUALITY"] ?? 80));
}

/** Tells a picture's format, size in pixels and mean colour. */
export function inspect(file: Uint8Array): {
  format: string;
  width: number;
  height: number;
  bytes: number;
  meanColour: [number, number, number];
} {
  const { format, picture } = decodePicture(file);
  return {
    format,
    width: picture.width,
    height: picture.height,
    bytes: file.length,
    meanColour: meanColour(picture),
  };
}

export const endpoints = {
  thumbnail: { timeoutMs: 20_000, idempotent: true },
  inspect: { timeoutMs: 20_000, idempotent: true },
};
