/**
 * `POST /v1/invoke/<set>/<function>`: an HTTP request becomes a request frame, the answering frames an HTTP
 * response; a stream becomes server-sent events. The dispatcher can't tell it from a socket's request.
 */
import { Buffer } from "node:buffer";
import type { ApiContext } from "./context.ts";
import { isErrorCode, SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { decodeFrame, encodeFrame, Flag, forEachFrame, type Frame, Op } from "../../protocol/frame.ts";
import { partsCounted } from "../../protocol/stream_window.ts";
import { moduleHeaders } from "./module_headers.ts";
import type { Requester } from "../../scheduling/dispatcher.ts";
import { mayInvoke, type Principal } from "../../security/access.ts";

export interface InvokePort {
  admit(requester: Requester, bytes: Uint8Array): void;
  cancel(requester: Requester): void;
  credit(requester: Requester, parts: number): void;
  monotonicMs(): number;
}

export const bytesType = "application/octet-stream";

/** Answers with the endpoint's reply; errors are thrown as the request's one outcome. */
export async function invokeOverHttp(c: ApiContext, port: InvokePort, endpoint: string): Promise<Response> {
  const startedMs = port.monotonicMs();
  const bytes = new Uint8Array(await c.req.arrayBuffer());
  const principal = c.get("principal");
  const answers = new AnswerQueue();
  const requester = createRequester(principal, answers);
  const stream = (c.req.header("accept") ?? "").includes("text/event-stream");
  const frame = requestFrame(c, endpoint, bytes, stream);
  const signal = c.req.raw.signal;
  // It may have gone while its password was checked; nothing is run for nobody.
  if (signal.aborted) throw wentAway("no");
  signal.addEventListener("abort", () => {
    port.cancel(requester);
    answers.end();
  }, { once: true });
  port.admit(requester, frame);
  const first = await answers.next();
  if (first === null) throw wentAway("maybe");
  if (first.op === Op.error) throw errorOf(first);
  if (!stream) return replyResponse(first, port.monotonicMs() - startedMs);
  return streamResponse(first, answers, port, requester);
}

function wentAway(mayHaveRun: "no" | "maybe"): SqwishError {
  return new SqwishError("cancelled", "The HTTP client went away before the reply", {
    details: { mayHaveRun },
  });
}

function createRequester(principal: Principal, answers: AnswerQueue): Requester {
  return {
    // One user's HTTP requests share a turn in the queue, as those of one connection do.
    id: `http ${principal.name}`,
    describe: principal.name,
    mayInvoke: (endpoint) => mayInvoke(principal, endpoint),
    sink: {
      sendFrames: (bytes, at = 0, end = bytes.length) =>
        forEachFrame(bytes.subarray(at, end), (start) => answers.push(decodeFrame(bytes, at + start))),
    },
  };
}

function requestFrame(c: ApiContext, endpoint: string, body: Uint8Array, stream: boolean): Uint8Array {
  if (body.length > limits.bodyBytesMax) {
    throw new SqwishError(
      "too_large",
      `An input takes at most ${limits.bodyBytesMax} bytes, this one has ${body.length}`,
    );
  }
  const asBytes = (c.req.header("content-type") ?? "").toLowerCase().startsWith(bytesType);
  if (!asBytes && body.length > 0) requireJson(body);
  let flags = asBytes ? Flag.bytes : 0;
  if (stream) flags |= Flag.stream;
  if (isIdempotent(c)) flags |= Flag.idempotent;
  return encodeFrame({
    op: Op.request,
    id: 1,
    flags,
    a: timeoutOf(c),
    name: endpoint,
    meta: moduleHeaders(c.req.raw.headers),
    body: inputOf(flags, body),
  });
}

const nothing = new TextEncoder().encode("null");

/** The body as the module gets it: no JSON at all is null. */
export function inputOf(flags: number, body: Uint8Array): Uint8Array {
  return body.length > 0 || (flags & Flag.bytes) !== 0 ? body : nothing;
}

const lenient = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true });

/** Bodies from the socket come from our own library; a body typed by a person deserves its error before an agent is involved. */
export function requireJson(body: Uint8Array): void {
  try {
    const text = lenient.decode(body);
    JSON.parse(text);
    // Eight times as slow, so only asked when the other one may have put this in place of what is no UTF-8.
    if (text.includes("\ufffd")) strict.decode(body);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : "not UTF-8";
    throw new SqwishError(
      "invalid_request",
      `The input must be JSON (${problem}); for bytes say Content-Type: ${bytesType}`,
      {
        cause,
      },
    );
  }
}

function timeoutOf(c: ApiContext): number {
  const text = c.req.header("sqwish-timeout-ms");
  if (text === undefined) return 0;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= limits.timeoutMsMax) return value;
  throw new SqwishError(
    "invalid_request",
    `Sqwish-Timeout-Ms must be a whole number from 1 to ${limits.timeoutMsMax}, is ${
      JSON.stringify(text.slice(0, 40))
    }`,
  );
}

function isIdempotent(c: ApiContext): boolean {
  const text = c.req.header("sqwish-idempotent") ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw new SqwishError(
    "invalid_request",
    `Sqwish-Idempotent must be true or false, is ${JSON.stringify(text.slice(0, 40))}`,
  );
}

/** The value of `Sqwish-Timing`, in ms. */
export function timingOf(queueUs: number, runUs: number, totalMs: number): string {
  return `queue=${(queueUs / 1000).toFixed(1)} run=${(runUs / 1000).toFixed(1)} total=${totalMs.toFixed(1)}`;
}

function replyResponse(frame: Frame, totalMs: number): Response {
  return new Response(frame.body.slice(), {
    headers: {
      "content-type": (frame.flags & Flag.bytes) !== 0 ? bytesType : "application/json",
      "sqwish-timing": timingOf(frame.b, frame.a, totalMs),
      "sqwish-request-id": frame.requestId,
    },
  });
}

/** One `data:` event per part (bytes as base64 with `event: bytes`), `event: end` at the end, `event: error` on failure. */
function streamResponse(
  first: Frame,
  answers: AnswerQueue,
  port: InvokePort,
  requester: Requester,
): Response {
  let frame: Frame | null = first;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      frame ??= await answers.next();
      if (frame === null) return controller.close();
      controller.enqueue(encoder.encode(eventOf(frame)));
      if (frame.op === Op.part) port.credit(requester, partsCounted(frame.body.length));
      else controller.close();
      frame = null;
    },
    cancel() {
      port.cancel(requester);
    },
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}

function eventOf(frame: Frame): string {
  if (frame.op === Op.error) return `event: error\ndata: ${JSON.stringify(errorOf(frame))}\n\n`;
  if (frame.op === Op.reply && frame.body.length === 0) return "event: end\ndata:\n\n";
  const isBytes = (frame.flags & Flag.bytes) !== 0;
  const text = isBytes ? Buffer.from(frame.body).toString("base64") : new TextDecoder().decode(frame.body);
  // A plug-in may lay its JSON out; each line break begins another line of the same event's data.
  const data = text.replaceAll(/\r\n|\r|\n/g, "\ndata: ");
  const event = `${isBytes ? "event: bytes\n" : ""}data: ${data}\n\n`;
  return frame.op === Op.reply ? `${event}event: end\ndata:\n\n` : event;
}

/** The error in an `error` frame; `internal` when it can't be read. Modules and their runners have a hand in it. */
export function errorOf(frame: Frame): SqwishError {
  try {
    const { code, message, details } = JSON.parse(frame.meta);
    // As the client library has it; what is refused before it counts as a request has none.
    const requestId = /[1-9a-f]/.test(frame.requestId) ? { requestId: frame.requestId } : {};
    return new SqwishError(isErrorCode(code) ? code : "internal", String(message), {
      details: { ...details, ...requestId },
    });
  } catch (cause) {
    return new SqwishError("internal", "The request failed with an error that can't be read", { cause });
  }
}

/** Frames that have come and one reader that waits for the next. Bounded by the stream's window of parts. */
class AnswerQueue {
  #frames: Frame[] = [];
  #waiting: ((frame: Frame | null) => void) | null = null;
  #ended = false;

  push(frame: Frame): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) waiting(frame);
    else this.#frames.push(frame);
  }

  end(): void {
    this.#ended = true;
    this.#waiting?.(null);
    this.#waiting = null;
  }

  next(): Promise<Frame | null> {
    const frame = this.#frames.shift();
    if (frame) return Promise.resolve(frame);
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
