/**
 * The memory of large frames. Buffers lie outside of V8's heap, but new ones make it collect everything there, soon and
 * often: beside bodies of 8 MiB several times a second, each in the way of all small requests. So whoever is the last
 * to need such a frame gives its memory back, and the next one is put there. What referred to it all the same would
 * find a frame of no bytes, never bytes of another. What nobody has needed for a few collections is let go.
 */
import { limits } from "../limits.ts";

/** Sizes that are nearly the same share their memory. */
const stepBytes = 64 * 1024;
/** Enough for the large bodies that one connection may have under way at once. */
const keptBytesMax = limits.transfersAtOnce * (limits.bodyBytesMax + stepBytes);

const kept: ArrayBuffer[] = [];
let keptBytes = 0;
/** Collections since any of it was needed: a few may come before the next large frame does. */
let collections = 0;
const collectionsMax = 5;
let isWatching = false;
/** Called after a collection, while there is something to let go. */
const garbage = new FinalizationRegistry<null>(() => {
  isWatching = false;
  if (++collections < collectionsMax) return watchCollections();
  kept.length = keptBytes = 0;
});

/** The buffers of `newFrame`, which hold one frame each and may be larger. */
const single = new WeakSet<ArrayBufferLike>();

/** Room for a frame. Unlike in a new buffer, what is in it is anything. */
export function newFrame(length: number): Uint8Array<ArrayBuffer> {
  if (length <= limits.chunkBytesMax) return new Uint8Array(length);
  const buffer = takeKept(length) ?? new ArrayBuffer(Math.ceil(length / stepBytes) * stepBytes);
  single.add(buffer);
  return new Uint8Array(buffer, 0, length);
}

/** Whether the frame `bytes[at, end)` is a large one and alone in its buffer, as those are that came in chunks. */
export function isFreeable(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at <= limits.chunkBytesMax) return false;
  const { buffer, byteOffset } = bytes;
  return end - at === buffer.byteLength || byteOffset + at === 0 && single.has(buffer);
}

/** Gives the memory of the frame `bytes[at, end)` back if it is freeable. Nothing may need it any more. */
export function freeFrame(bytes: Uint8Array, at: number, end: number): void {
  if (!isFreeable(bytes, at, end)) return;
  const buffer = bytes.buffer as ArrayBuffer;
  const isKept = keptBytes + buffer.byteLength <= keptBytesMax;
  // Moves it out of the reach of all that refers to it now.
  const moved = buffer.transfer(isKept ? buffer.byteLength : 0);
  if (!isKept) return;
  watchCollections();
  kept.push(moved);
  keptBytes += moved.byteLength;
}

/** What was given back last is the warmest. */
function takeKept(length: number): ArrayBuffer | undefined {
  collections = 0;
  const at = kept.findLastIndex(({ byteLength }) => byteLength >= length && byteLength <= 2 * length);
  if (at < 0) return undefined;
  keptBytes -= kept[at].byteLength;
  return kept.splice(at, 1)[0];
}

function watchCollections(): void {
  if (isWatching) return;
  isWatching = true;
  garbage.register({}, null);
}
