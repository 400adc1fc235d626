/**
 * Pictures for the demo: hills under an evening sky, drawn by numbers, so that every run has the same ones and no
 * photograph need be stored. Grain and soft edges make them compress as photographs do.
 */
import { encodePicture, type Format } from "../images/codecs.ts";
import type { Picture } from "../images/scale.ts";

export interface SamplePicture {
  name: string;
  format: Format;
  /** The pixels before encoding. JPEG changes them a little. */
  picture: Picture;
  file: Uint8Array;
}

/** Four pictures, two of each format. */
export function samplePictures(): SamplePicture[] {
  const sizes: [string, Format, number, number][] = [
    ["dusk.png", "png", 960, 640],
    ["ridge.jpeg", "jpeg", 1280, 800],
    ["valley.png", "png", 640, 640],
    ["shore.jpeg", "jpeg", 900, 1200],
  ];
  return sizes.map(([name, format, width, height], seed) => {
    const picture = landscape(width, height, seed + 1);
    return { name, format, picture, file: encodePicture(picture, format, 90) };
  });
}

/** Sky, a low sun and three ridges, each hazier than the one before it. */
function landscape(width: number, height: number, seed: number): Picture {
  const data = new Uint8Array(width * height * 4);
  const sun = { x: width * (0.2 + 0.15 * seed), y: height * 0.35, radius: width * 0.05 };
  for (let x = 0; x < width; x++) {
    const ridges = [0.5, 0.65, 0.8].map((level, index) => height * (level + ridge(x / width, seed, index)));
    for (let y = 0; y < height; y++) {
      const pixel = colourAt(x, y, height, ridges, sun);
      const noise = grain(x, y, seed);
      for (let channel = 0; channel < 3; channel++) {
        data[(y * width + x) * 4 + channel] = Math.max(0, Math.min(255, pixel[channel] + noise));
      }
      data[(y * width + x) * 4 + 3] = 255;
    }
  }
  return { width, height, data };
}

function colourAt(
  x: number,
  y: number,
  height: number,
  ridges: number[],
  sun: { x: number; y: number; radius: number },
): number[] {
  const nearest = ridges.findLastIndex((top) => y > top);
  if (nearest >= 0) return [[150, 110, 140], [95, 70, 110], [40, 35, 60]][nearest];
  const depth = y / height;
  const sky = [60 + 330 * depth, 80 + 150 * depth, 150 - 60 * depth];
  const glow = Math.exp(-(((x - sun.x) ** 2 + (y - sun.y) ** 2) / (sun.radius ** 2 * 4)));
  return sky.map((level, channel) => level + glow * [190, 150, 60][channel]);
}

/** A ridge's height above its level, as a share of the picture's height. */
function ridge(x: number, seed: number, index: number): number {
  const phase = seed * 1.7 + index * 2.3;
  return 0.06 * Math.sin(x * 5 + phase) + 0.025 * Math.sin(x * 17 + phase * 3) +
    0.008 * Math.sin(x * 61 + phase);
}

/** Film grain from -6 to 6: an integer hash of the position (the finaliser of MurmurHash3, Austin Appleby). */
function grain(x: number, y: number, seed: number): number {
  let hash = Math.imul(x, 0x9e3779b1) ^ Math.imul(y, 0x85ebca77) ^ seed;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % 13 - 6;
}
