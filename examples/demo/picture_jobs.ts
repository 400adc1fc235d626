/**
 * Work for the replicaSet `images`, with checks that look at the pixels: every thumbnail is compared with plain
 * means over the original, computed here without the module's own scaling.
 */
import assert from "node:assert/strict";
import { decodePicture } from "../images/codecs.ts";
import type { Picture } from "../images/scale.ts";
import type { Job } from "./job.ts";
import type { SamplePicture } from "./pictures.ts";

const edges = [48, 96, 160, 240];

/** Single pixels ring beside sharp edges in a JPEG; the mean of a few does not. */
const patchPixels = 3;

/** JPEG loses a little each time it is encoded; the levels are those of 8-bit channels. */
const tolerance = { png: { mean: 1, patch: 6 }, jpeg: { mean: 3, patch: 14 } };

/** Every picture inspected once and made small in four sizes. */
export function pictureJobs(pictures: SamplePicture[]): Job[] {
  return pictures.flatMap((
    sample,
  ) => [inspection(sample), ...edges.map((edge) => thumbnailing(sample, edge))]);
}

/** Throws unless `file` is this picture made to fit a square of `edge` pixels. */
export function checkThumbnail(sample: SamplePicture, edge: number, file: unknown): void {
  assert.ok(file instanceof Uint8Array, "A thumbnail must be bytes");
  const { format, picture } = decodePicture(file);
  assert.equal(format, sample.format);
  const factor = edge / Math.max(sample.picture.width, sample.picture.height);
  assert.equal(picture.width, Math.round(sample.picture.width * factor));
  assert.equal(picture.height, Math.round(sample.picture.height * factor));
  const allowed = tolerance[format];
  near(
    "mean colour",
    meanOf(picture, wholeOf(picture)),
    meanOf(sample.picture, wholeOf(sample.picture)),
    allowed.mean,
  );
  const cellWidth = sample.picture.width / picture.width;
  const cellHeight = sample.picture.height / picture.height;
  for (const [across, down] of [[0.1, 0.1], [0.5, 0.2], [0.8, 0.45], [0.3, 0.6], [0.6, 0.9]]) {
    const [left, top] = [Math.floor(picture.width * across), Math.floor(picture.height * down)];
    const patch = meanOf(picture, { left, top, width: patchPixels, height: patchPixels });
    const covered = meanOf(sample.picture, {
      left: left * cellWidth,
      top: top * cellHeight,
      width: patchPixels * cellWidth,
      height: patchPixels * cellHeight,
    });
    near(`patch at ${left}, ${top}`, patch, covered, allowed.patch);
  }
}

function inspection(sample: SamplePicture): Job {
  return {
    endpoint: "images/inspect",
    input: sample.file,
    check(reply) {
      const told = reply as {
        format: string;
        width: number;
        height: number;
        bytes: number;
        meanColour: number[];
      };
      assert.equal(told.format, sample.format);
      assert.deepEqual([told.width, told.height], [sample.picture.width, sample.picture.height]);
      assert.equal(told.bytes, sample.file.length);
      const mean = meanOf(sample.picture, wholeOf(sample.picture));
      near("mean colour", told.meanColour, mean, tolerance[sample.format].mean);
    },
  };
}

function thumbnailing(sample: SamplePicture, edge: number): Job {
  return {
    endpoint: "images/thumbnail",
    input: sample.file,
    headers: { edge: String(edge) },
    check: (reply) => checkThumbnail(sample, edge, reply),
  };
}

interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

function wholeOf(picture: Picture): Area {
  return { left: 0, top: 0, width: picture.width, height: picture.height };
}

/** Mean of the pixels whose corner lies in the area; coarser than the module's, and independent of it. */
function meanOf(picture: Picture, area: Area): number[] {
  const sums = [0, 0, 0];
  let pixels = 0;
  for (let y = Math.round(area.top); y < Math.round(area.top + area.height); y++) {
    for (let x = Math.round(area.left); x < Math.round(area.left + area.width); x++) {
      const at = (y * picture.width + x) * 4;
      for (let channel = 0; channel < 3; channel++) sums[channel] += picture.data[at + channel];
      pixels++;
    }
  }
  return sums.map((sum) => sum / pixels);
}

function near(what: string, actual: number[], expected: number[], allowed: number): void {
  for (const [channel, level] of expected.entries()) {
    const off = Math.abs(actual[channel] - level);
    assert.ok(
      off <= allowed,
      `${what}: channel ${channel} must be within ${allowed} of ${level}, is ${actual[channel]}`,
    );
  }
}
