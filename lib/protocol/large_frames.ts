/**
 * The memory of large frames. Buffers of garbage end with a collection of everything, which V8 begins whenever some 64
 * MB of them have gathered: beside bodies of 8 MiB several times a second, each in the way of all small requests. So
 * whoever is the last to need such a frame gives its memory back. What referred to it all the same would find a frame
 * of no bytes, never bytes of another.
 */
import { limits } from "../limits.ts";

/** Whether the frame `bytes[at, end)` is a large one and alone in its buffer, as those are that came in chunks. */
export function isFreeable(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at > limits.chunkBytesMax && end - at === bytes.buffer.byteLength;
}

/** Gives the memory of the frame `bytes[at, end)` back if it is freeable. Nothing may need it any more. */
export function freeFrame(bytes: Uint8Array, at: number, end: number): void {
  if (isFreeable(bytes, at, end)) (bytes.buffer as ArrayBuffer).transfer(0);
}
