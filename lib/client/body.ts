/**
 * Values ↔ frame bodies: a `Uint8Array` travels as bytes, everything else as JSON. Also an error frame's words back
 * into a `SqwishError`. Used by requests, streams and calls alike.
 */
import { type ErrorDetails, isErrorCode, SqwishError } from "../errors.ts";
import { decodeFrame, Flag, frameBodyAt, frameFlags } from "../protocol/frame.ts";

const decoder = new TextDecoder();

/** A body on its way out: JSON text, or bytes with `Flag.bytes`. */
export type Body = string | Uint8Array;

/** Throws `invalid_request` for what is neither bytes nor JSON (a function, a cycle, a BigInt). */
export function encodeBody(value: unknown): Body {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  let text: string | undefined;
  try {
    text = JSON.stringify(value ?? null);
  } catch (cause) {
    throw new SqwishError(
      "invalid_request",
      "Input must be JSON or bytes, this value can't be written as JSON",
      {
        cause,
        details: { mayHaveRun: "no" },
      },
    );
  }
  if (text === undefined) {
    throw new SqwishError("invalid_request", `Input must be JSON or bytes, this is a ${typeof value}`);
  }
  return text;
}

/** The flags that say what a body is. */
export function flagsOf(body: Body): number {
  return typeof body === "string" ? 0 : Flag.bytes;
}

/** The value in the body of the frame `bytes[at, end)`. Throws `internal` for what should be JSON and is not. */
export function decodeBody(bytes: Uint8Array, at: number, end: number): unknown {
  // Copied: a view would keep the whole message alive, and share its buffer with other replies.
  if (frameFlags(bytes, at) & Flag.bytes) return bytes.slice(frameBodyAt(bytes, at), end);
  return decodeJson(bytes, frameBodyAt(bytes, at), end);
}

/** The JSON in `bytes[at, end)`; nothing is null. */
export function decodeJson(bytes: Uint8Array, at: number, end: number): unknown {
  if (at === end) return null;
  try {
    return JSON.parse(decoder.decode(bytes.subarray(at, end)));
  } catch (cause) {
    throw new SqwishError("internal", "A reply must be JSON or bytes, this one is neither", { cause });
  }
}

/** The error in the `error` frame at `at`; one that can't be read is `internal`. */
export function decodeError(bytes: Uint8Array, at: number): SqwishError {
  const { meta, requestId } = decodeFrame(bytes, at);
  return errorFrom(meta, requestId);
}

/** The error of an API operation's reply, `{ error: { code, message, details } }`. */
export function decodeErrorView(body: Uint8Array, status: number): SqwishError {
  try {
    const { error } = JSON.parse(decoder.decode(body));
    return errorFrom(JSON.stringify(error), "");
  } catch {
    return new SqwishError("internal", `The manager answered with status ${status} and no reason`);
  }
}

function errorFrom(json: string, requestId: string): SqwishError {
  try {
    const { code, message, details } = JSON.parse(json);
    if (isErrorCode(code)) {
      const facts: ErrorDetails = { ...details };
      if (/[1-9a-f]/.test(requestId)) facts.requestId ??= requestId;
      return new SqwishError(code, String(message), { details: facts });
    }
  } catch {
    // Said below, with what arrived as the cause.
  }
  return new SqwishError("internal", "The manager answered with an error that can't be read", {
    cause: new Error(json.slice(0, 200)),
  });
}
