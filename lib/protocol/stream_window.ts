/** How far the sender of a stream may be ahead of who takes it: by so many parts, and by so many bytes of large ones. */
import { limits } from "../limits.ts";

/** For how many parts one with such a body counts, on both sides alike. */
export function partsCounted(bodyBytes: number): number {
  return Math.max(1, Math.ceil(bodyBytes / limits.streamPartBytes));
}
