/** The `error` frame that ends a request: made by the agent for what never ran, and by the runner for what did. */
import type { ErrorCode, ErrorDetails } from "../errors.ts";
import { limits } from "../limits.ts";
import { encodeFrame, Op } from "../protocol/frame.ts";
import { cut } from "../words.ts";

const encoder = new TextEncoder();
/** So much fits a frame whatever the characters are: JSON takes at most six bytes for one. */
export const messageCharsMax = 4096;

/** What would not fit a frame is left out: first the details, except whether it may have run, then the message's end. */
export function errorFrame(
  id: number,
  error: { code: ErrorCode; message: string; details: ErrorDetails },
  runUs = 0,
): Uint8Array<ArrayBuffer> {
  let meta = JSON.stringify(error);
  if (!fits(meta)) {
    const { code, message, details: { mayHaveRun } } = error;
    meta = JSON.stringify({ code, message: cut(message, messageCharsMax), details: { mayHaveRun } });
  }
  return encodeFrame({ op: Op.error, id, a: runUs, meta });
}

function fits(meta: string): boolean {
  // A character is up to three bytes of UTF-8.
  return meta.length * 3 <= limits.frameMetaBytesMax ||
    encoder.encode(meta).length <= limits.frameMetaBytesMax;
}
