/**
 * Values ↔ frame bodies: a `Uint8Array` travels as bytes, everything else as JSON. Also an error frame's words back
 * into a `SqwishError`. Used by requests, streams and calls alike.
 */
import { type ErrorDetails, isErrorCode, SqwishError } from "../errors.ts";
import { Flag, type Frame } from "../protocol/frame.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Body {
  flags: number;
  body: Uint8Array;
}

/** Throws `invalid_request` for what is neither bytes nor JSON (a function, a cycle, a BigInt). */
export function encodeBody(value: unknown): Body {
  if (value instanceof Uint8Array) return { flags: Flag.bytes, body: value };
  if (value instanceof ArrayBuffer) return { flags: Flag.bytes, body: new Uint8Array(value) };
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
  return { flags: 0, body: encoder.encode(text) };
}

/** Bytes are copied: a view would keep the whole message alive that they arrived in. */
export function decodeBody(frame: Pick<Frame, "flags" | "body">): unknown {
  if (frame.flags & Flag.bytes) return frame.body.slice();
  if (frame.body.length === 0) return null;
  try {
    return JSON.parse(decoder.decode(frame.body));
  } catch (cause) {
    throw new SqwishError("internal", "A reply must be JSON or bytes, this one is neither", { cause });
  }
}

/** The error of an `error` frame; one that can't be read is `internal`. */
export function decodeError(frame: Frame): SqwishError {
  return errorFrom(frame.meta, frame.requestId);
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
