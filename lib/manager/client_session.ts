/** One joined client: its requests go to the dispatcher, its API calls through the same app as HTTP. */
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import {
  decodeFrame,
  encodeFrame,
  Flag,
  forEachFrame,
  type Frame,
  frameA,
  frameId,
  frameOp,
  Op,
} from "../protocol/frame.ts";
import { encodeMessage, parseMessageToManager } from "../protocol/messages.ts";
import { mayInvoke, type Principal } from "../security/access.ts";
import type { Dispatcher, Requester } from "../scheduling/dispatcher.ts";
import type { Session } from "./join.ts";
import type { SilenceWatch } from "./silence.ts";

export interface ClientSessionOptions {
  dispatcher: Dispatcher;
  /** Runs one API operation as this principal. */
  call(request: Request, principal: Principal, remoteAddress: string): Promise<Response>;
  /** The number of clients connected changed by this. */
  counted(difference: 1 | -1): void;
  /** Ends it once nothing comes any more. */
  silence: Pick<SilenceWatch, "add" | "remove">;
}

const callsMax = 64;

/** `number` is this connection's own: queues are fair between connections. */
export function openClientSession(
  options: ClientSessionOptions,
  channel: Channel,
  principal: Principal,
  number: number,
): Session {
  const { dispatcher } = options;
  const requester: Requester = {
    id: `client ${number}`,
    describe: principal.name,
    mayInvoke: (endpoint) => mayInvoke(principal, endpoint),
    sink: channel,
  };
  /** Calls under way by id; a cancel or the end of the connection aborts them. */
  const calls = new Map<number, AbortController>();
  options.counted(1);
  options.silence.add(channel);

  function receiveFrame(message: Uint8Array, at: number, end: number, nowMs: number): void {
    switch (frameOp(message, at)) {
      case Op.request:
        return dispatcher.admit(requester, message, at, end, nowMs);
      case Op.cancel: {
        const id = frameId(message, at);
        const call = calls.get(id);
        return call ? call.abort() : dispatcher.cancel(requester, id);
      }
      case Op.credit:
        return dispatcher.credit(requester, frameId(message, at), frameA(message, at));
      case Op.call:
        return void answerCall(decodeFrame(message, at));
      default:
        throw new SqwishError("invalid_request", `A client may not send operation ${frameOp(message, at)}`);
    }
  }

  async function answerCall(frame: Frame): Promise<void> {
    const abort = new AbortController();
    try {
      if (calls.size >= callsMax || calls.has(frame.id)) {
        throw new SqwishError(
          "queue_full",
          `A connection may make ${callsMax} API calls at once, each with its own id`,
        );
      }
      calls.set(frame.id, abort);
      const response = await options.call(requestOf(frame, abort.signal), principal, channel.remoteAddress);
      await sendResponse(channel, frame.id, response, abort.signal);
    } catch (thrown) {
      const { code, message, details } = asSqwishError(thrown, `The call ${frame.name}`);
      channel.sendFrames(
        encodeFrame({ op: Op.error, id: frame.id, meta: JSON.stringify({ code, message, details }) }),
      );
    } finally {
      if (calls.get(frame.id) === abort) calls.delete(frame.id);
    }
  }

  return {
    start() {},
    onControl(text) {
      const message = parseMessageToManager(text);
      if (message.type === "ping") {
        channel.sendControl(encodeMessage({ type: "pong", sequence: message.sequence }));
      } else if (message.type !== "bye") {
        throw new SqwishError("invalid_request", `A client may not send ${message.type}`);
      }
    },
    onFrames(message) {
      const nowMs = dispatcher.nowMs();
      forEachFrame(message, (at, end) => receiveFrame(message, at, end, nowMs));
    },
    onDrain: () => dispatcher.drained(),
    onClose() {
      options.counted(-1);
      options.silence.remove(channel);
      dispatcher.requesterGone(requester);
      for (const call of calls.values()) call.abort();
    },
  };
}

/** Throws `invalid_request` for what can't be an HTTP request. */
function requestOf(frame: Frame, signal: AbortSignal): Request {
  const [method, path] = frame.name.split(" ", 2);
  if (!path?.startsWith("/v1/")) {
    throw new SqwishError(
      "invalid_request",
      `A call is named "METHOD /v1/…", this one ${JSON.stringify(frame.name)}`,
    );
  }
  const body = frame.body.length > 0 ? frame.body.slice() : null;
  try {
    const meta: { contentType?: unknown } | null = frame.meta ? JSON.parse(frame.meta) : null;
    const contentType = String(meta?.contentType ?? "application/json");
    const headers = new Headers(body ? { "content-type": contentType } : {});
    return new Request(`https://manager${path}`, { method, headers, body, signal });
  } catch (cause) {
    throw new SqwishError(
      "invalid_request",
      `A call needs a method, a path and headers as HTTP has them, ${JSON.stringify(frame.name)} has not`,
      { cause },
    );
  }
}

async function sendResponse(
  channel: Channel,
  id: number,
  response: Response,
  signal: AbortSignal,
): Promise<void> {
  const contentType = response.headers.get("content-type") ?? "";
  const meta = JSON.stringify({ contentType });
  if (!contentType.includes("text/event-stream") || response.body === null) {
    const body = new Uint8Array(await response.arrayBuffer());
    if (body.length > limits.bodyBytesMax) {
      throw new SqwishError(
        "too_large",
        `The answer has ${body.length} bytes, at most ${limits.bodyBytesMax} fit`,
      );
    }
    channel.sendFrames(encodeFrame({ op: Op.reply, id, b: response.status, flags: Flag.bytes, meta, body }));
    return;
  }
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  // The peer may have gone while the answer was made; its abort has then been and comes no more.
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    channel.sendFrames(encodeFrame({ op: Op.part, id, flags: Flag.bytes, meta, body: value }));
  }
  channel.sendFrames(encodeFrame({ op: Op.reply, id, b: response.status, flags: Flag.bytes, meta }));
}
