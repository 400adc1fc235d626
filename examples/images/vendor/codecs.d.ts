/** The part of the vendored codecs that the examples use. Pixels are rows from the top, channels side by side. */

export interface DecodedPng {
  width: number;
  height: number;
  data: Uint8Array | Uint8ClampedArray | Uint16Array;
  /** Bits per sample: 1, 2, 4, 8 or 16. */
  depth: number;
  channels: number;
  palette?: number[][];
}

export function decodePng(file: Uint8Array): DecodedPng;
export function encodePng(
  picture: { width: number; height: number; data: Uint8Array; channels: number; depth: 8 },
): Uint8Array;

export function decodeJpeg(
  file: Uint8Array,
  options: { useTArray: true; formatAsRGBA: boolean; maxResolutionInMP: number },
): { width: number; height: number; data: Uint8Array };
export function encodeJpeg(
  picture: { width: number; height: number; data: Uint8Array },
  quality: number,
): { width: number; height: number; data: Uint8Array };
