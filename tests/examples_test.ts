/** The examples' modules as plain functions: what the cluster would run, without a cluster. */
import assert from "node:assert/strict";
import { checkPrimeSync } from "node:crypto";
import { join } from "node:path";
import fc from "fast-check";
import { assemble } from "../.ci/wasm.ts";
import { readBook } from "../examples/demo/book.ts";
import { checkFactors, tileJobs } from "../examples/demo/number_jobs.ts";
import { checkThumbnail } from "../examples/demo/picture_jobs.ts";
import { samplePictures } from "../examples/demo/pictures.ts";
import { greet } from "../examples/canary/greet.ts";
import { greet as greetBadly } from "../examples/canary/greet_badly.ts";
import { greet as greetByHour } from "../examples/canary/greet_by_hour.ts";
import { decodePicture, encodePicture } from "../examples/images/codecs.ts";
import { meanColour, type Picture, scaleDown } from "../examples/images/scale.ts";
import { inspect, thumbnail } from "../examples/images/thumbnails.ts";
import { tile } from "../examples/maths/mandelbrot.ts";
import { factors, ready } from "../examples/maths/primes.ts";
import { readingEase, sentences } from "../examples/text/sentences.ts";
import { chapters, statistics } from "../examples/text/statistics.ts";
import { countWords, syllables, words } from "../examples/text/words.ts";
import { repositoryRoot } from "./support/source_files.ts";

/** As much of a module's context as the examples use. */
function contextWith(headers: Record<string, string>) {
  return { headers, env: {}, signal: new AbortController().signal } as unknown as Parameters<
    typeof thumbnail
  >[1];
}

function plain(width: number, height: number, level: (x: number, y: number) => number): Picture {
  const data = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const grey = level(pixel % width, Math.floor(pixel / width));
    data.set([grey, grey, grey, 255], pixel * 4);
  }
  return { width, height, data };
}

Deno.test("`scaleDown()` averages exactly the area that a pixel covers", () => {
  const stripes = plain(6, 3, (x) => (x % 2 === 0 ? 0 : 200));
  assert.deepEqual([...scaleDown(stripes, 3, 1).data], [
    100,
    100,
    100,
    255,
    100,
    100,
    100,
    255,
    100,
    100,
    100,
    255,
  ]);
  // Two pixels out of three: each takes one whole and half of the middle one.
  const uneven = plain(3, 1, (x) => [0, 90, 240][x]);
  assert.deepEqual([...scaleDown(uneven, 2, 1).data].filter((_, at) => at % 4 === 0), [30, 190]);
});

Deno.test("`scaleDown()` keeps the mean, whatever the sizes", () => {
  const size = fc.integer({ min: 1, max: 40 });
  fc.assert(fc.property(size, size, size, size, (width, height, toWidth, toHeight) => {
    const picture = plain(width, height, (x, y) => (x * 37 + y * 91) % 256);
    const small = scaleDown(picture, Math.min(width, toWidth), Math.min(height, toHeight));
    assert.ok(Math.abs(meanColour(small)[0] - meanColour(picture)[0]) <= 0.6);
  }));
});

Deno.test("`scaleDown()` refuses to enlarge and names both sizes", () => {
  assert.throws(() => scaleDown(plain(4, 4, () => 0), 5, 4), /from 4 × 4 to 5 × 4/);
});

Deno.test("`thumbnail()` keeps the format, fits the edge and looks like the original", () => {
  for (const sample of samplePictures()) {
    checkThumbnail(sample, 120, thumbnail(sample.file, contextWith({ edge: "120" })));
    assert.deepEqual(inspect(sample.file).width, sample.picture.width);
  }
});

Deno.test("`thumbnail()` says what is wrong with an edge or a file", () => {
  const [{ file }] = samplePictures();
  assert.throws(
    () => thumbnail(file, contextWith({ edge: "0" })),
    /edge must be a whole number from 1 to 2048, is 0/,
  );
  assert.throws(() => thumbnail(new Uint8Array([1, 2, 3]), contextWith({})), /must be a PNG or JPEG file/);
  assert.throws(() => inspect(file.subarray(0, 400)));
});

Deno.test("PNG files survive encoding and decoding bit by bit", () => {
  const picture = plain(17, 5, (x, y) => x * 11 + y);
  assert.deepEqual(decodePicture(encodePicture(picture, "png")), { format: "png", picture });
});

Deno.test("`factors()` multiplies back and finds primes only", () => {
  ready();
  fc.assert(
    fc.property(
      fc.bigInt({ min: 2n, max: 10n ** 17n }),
      (n) => checkFactors(String(n), factors({ n: String(n) })),
    ),
    { numRuns: 60 },
  );
});

Deno.test("`factors()` splits squares and products of primes beyond its table", () => {
  ready();
  assert.deepEqual(factors({ n: String(1_000_003n ** 2n) }).factors, ["1000003", "1000003"]);
  assert.deepEqual(factors({ n: String(100_003n ** 3n) }).factors, ["100003", "100003", "100003"]);
  assert.ok(checkPrimeSync(999_999_999_989n));
  assert.deepEqual(factors({ n: "999999999989" }).factors, ["999999999989"]);
  assert.throws(() => factors({ n: 1 }), /n must be from 2 to 10\^24, is 1/);
});

Deno.test("`tile()` draws what plain iteration gives, and refuses a place outside of the set's map", () => {
  for (const { input, check } of tileJobs(1)) check(tile(input as Parameters<typeof tile>[0]));
  assert.throws(() => tile({ zoom: 1, x: 2, y: 0 }), /x and y must be below 2, they are 2 and 0/);
});

Deno.test("`words()` keeps apostrophes and hyphens inside words, in any script", () => {
  const found = words("Don't stop--well-known Straße, 3 'quoted' слова");
  assert.deepEqual(found.join(" "), "don't stop well-known straße 3 quoted слова");
  assert.equal(countWords(["constructor", "constructor"]).get("constructor"), 2);
});

Deno.test("`sentences()` and `readingEase()` agree with counting by hand", () => {
  assert.equal(sentences('He said "Stop!" Then 3.14 came. Why? Because'), 3);
  assert.equal(sentences("no end"), 1);
  assert.equal(sentences(" \n"), 0);
  assert.equal(["cake", "banana", "the", "rhythm"].map(syllables).join(), "1,3,1,1");
  // 206.835 - 1.015 × 10 - 84.6 × 1.4
  assert.equal(readingEase(10, 1, 14), 78.2);
  assert.equal(readingEase(0, 0, 0), 0);
});

Deno.test("`chapters()` yields a part for each heading, and one for what stands before", async () => {
  const titles: string[] = [];
  const input = { text: "Before.\n# One\nA b c.\n# Two\nD.\n" };
  for await (const chapter of chapters(input, contextWith({}))) {
    titles.push(`${chapter.title}:${chapter.words}`);
  }
  assert.deepEqual(titles, [":1", "One:3", "Two:1"]);
});

Deno.test("the book of the demo is as long as several novels", async () => {
  const { text, chapters: count } = await readBook();
  assert.ok(count > 100);
  assert.ok(statistics({ text }).words > 200_000);
});

Deno.test("wordcount.wasm is what its committed text assembles to", async () => {
  const folder = join(repositoryRoot, "examples/wordcount");
  assert.deepEqual(
    await Deno.readFile(join(folder, "wordcount.wasm")),
    new Uint8Array(await assemble(join(folder, "wordcount.wat"))),
  );
});

Deno.test("the canary's versions greet alike where they should, and the bad one fails as it says", () => {
  assert.deepEqual(["Ada", "Alan"].map((name) => greet({ name })), ["Hello Ada", "Hello Alan"]);
  const atHour = (hour?: number) => greetByHour({ name: "Ada", hour });
  assert.deepEqual([atHour(), atHour(8), atHour(22)], ["Hello Ada", "Good morning Ada", "Good evening Ada"]);
  assert.equal(greetBadly({ name: "Grace" }), "Hello ADMIRAL Grace");
  assert.throws(() => greetBadly({ name: "Alan" }), TypeError);
});
