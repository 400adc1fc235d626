/** The `error` frame that ends a request: made by the agent for what never ran, and by the runner for what did. */
import type { ErrorCode, ErrorDetails } from "../errors.ts";
import { limits } from "../limits.ts";
import { encodeFrame, Op } from "../protocol/frame.ts";

const encoder = new TextEncoder();

/** Details that would not fit a frame are left out. */
export function errorFrame(
  id: number,
  error: { code: ErrorCode; message: string; details: ErrorDetails },
  runUs = 0,
): Uint8Array<ArrayBuffer> {
  const whole = JSON.stringify(error);
  // A character is up to three bytes of UTF-8.
  const fits = whole.length * 3 <= limits.frameMetaBytesMax ||
    encoder.encode(whole).length <= limits.frameMetaBytesMax;
  const meta = fits ? whole : JSON.stringify({ ...error, details: {} });
  return encodeFrame({ op: Op.error, id, a: runUs, meta });
}
