/**
 * A streamed reply as an async iterable with credit flow control: the producer may be `limits.streamWindowParts`
 * parts ahead of the consumer, large ones counting for several, and gets half of that again each time the consumer has
 * taken as many.
 * Leaving the loop early cancels the request.
 */
import type { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { Flag, frameBodyAt } from "../protocol/frame.ts";
import { partsCounted } from "../protocol/stream_window.ts";
import { decodeBody } from "./body.ts";
import type { Outgoing } from "./request_writer.ts";
import { PendingRequest } from "./pending.ts";
import type { Requests } from "./requests.ts";

const creditAtOnce = limits.streamWindowParts / 2;

/** What has arrived of a streamed reply and was not taken yet. */
export class StreamRequest extends PendingRequest {
  /** Whole frames, each in a buffer of its own: they may lie here while the consumer works. */
  readonly arrived: Uint8Array[] = [];
  ended = false;
  failure: SqwishError | null = null;
  #wake = () => {};

  override onPart(bytes: Uint8Array, at: number, end: number): void {
    this.arrived.push(bytes.slice(at, end));
    this.#wake();
  }

  onReply(): void {
    this.ended = true;
    this.#wake();
  }

  onError(error: SqwishError): void {
    this.ended = true;
    this.failure = error;
    this.#wake();
  }

  /** Resolves at the next part, or at the end. */
  news(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }
}

/** Nothing is sent before the first part is asked for. */
export async function* streamParts(
  requests: Requests,
  outgoing: Outgoing,
  request: StreamRequest,
): AsyncGenerator<unknown, void, undefined> {
  requests.start(request, { ...outgoing, flags: outgoing.flags | Flag.stream });
  let taken = 0;
  try {
    for (;;) {
      const frame = request.arrived.shift();
      if (frame) {
        taken += partsCounted(frame.length - frameBodyAt(frame, 0));
        if (taken >= creditAtOnce) {
          requests.credit(request, taken);
          taken = 0;
        }
        yield decodeBody(frame, 0, frame.length);
      } else if (request.ended) {
        // What arrived before a failure has been handed out by now.
        if (request.failure) throw request.failure;
        return;
      } else {
        await request.news();
      }
    }
  } finally {
    if (!request.ended) requests.cancel(request);
  }
}
