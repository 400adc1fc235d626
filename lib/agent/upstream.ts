/**
 * What an agent asks its manager: module downloads, and the requests that modules make with `ctx.invoke`. Ids are
 * this side's own and unique over reconnects, so that an answer of an earlier connection can't reach a later call.
 */
import { isErrorCode, SqwishError } from "../errors.ts";
import type { Channel } from "../protocol/channel.ts";
import { decodeFrame, encodeFrame, frameId, frameOp, Op, setFrameId } from "../protocol/frame.ts";

export interface AnswerSink {
  sendFrames(bytes: Uint8Array): void;
}

interface Call {
  /** The id the asker used, restored in the answers. */
  id: number;
  sink: AnswerSink;
}

export class UpstreamCalls {
  #channel: Channel | null = null;
  #calls = new Map<number, Call>();
  #nextId = 1;
  /** Resolved while a manager is connected. */
  #attached = Promise.withResolvers<void>();

  /** The manager is connected: calls go out here from now on. */
  attach(channel: Channel): void {
    this.#channel = channel;
    this.#attached.resolve();
  }

  /** The connection is gone: every call without an answer gets `manager_lost`. */
  detach(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    this.#attached = Promise.withResolvers<void>();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.sink.sendFrames(lostFrame(call.id, "maybe"));
  }

  /** Sends a `request` or `fetch` frame, whose bytes become ours; answers go to `sink` with the frame's own id. */
  request(frame: Uint8Array, sink: AnswerSink): void {
    const id = frameId(frame, 0);
    if (!this.#channel) return sink.sendFrames(lostFrame(id, "no"));
    const ownId = this.#nextId;
    this.#nextId = ownId >= 0xffff_ffff ? 1 : ownId + 1;
    this.#calls.set(ownId, { id, sink });
    setFrameId(frame, 0, ownId);
    this.#channel.sendFrames(frame);
  }

  /** The asker gives up on its request `id`. */
  cancel(id: number, sink: AnswerSink): void {
    this.#tell(id, sink, (ownId) => encodeFrame({ op: Op.cancel, id: ownId }));
  }

  /** The asker takes `count` more parts. */
  credit(id: number, count: number, sink: AnswerSink): void {
    this.#tell(id, sink, (ownId) => encodeFrame({ op: Op.credit, id: ownId, a: count }));
  }

  /** The asker is gone (its runner ended): its requests are cancelled. */
  forget(sink: AnswerSink): void {
    for (const [ownId, call] of [...this.#calls]) {
      if (call.sink !== sink) continue;
      this.#calls.delete(ownId);
      this.#channel?.sendFrames(encodeFrame({ op: Op.cancel, id: ownId }));
    }
  }

  /** An answering frame from the manager; one that nobody waits for is dropped. */
  answer(message: Uint8Array, at: number, end: number): void {
    const ownId = frameId(message, at);
    const call = this.#calls.get(ownId);
    if (!call) return;
    if (frameOp(message, at) !== Op.part) this.#calls.delete(ownId);
    setFrameId(message, at, call.id);
    call.sink.sendFrames(message.subarray(at, end));
  }

  /** Downloads a module, over the next connection when this one breaks. Rejects with the manager's own refusal. */
  async fetchModule(sha256: string): Promise<Uint8Array> {
    for (;;) {
      await this.#attached.promise;
      try {
        return await this.#fetchOnce(sha256);
      } catch (thrown) {
        if (!(thrown instanceof SqwishError) || thrown.code !== "manager_lost") throw thrown;
      }
    }
  }

  #fetchOnce(sha256: string): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const sink: AnswerSink = {
        sendFrames(bytes) {
          const frame = decodeFrame(bytes);
          if (frame.op === Op.reply) return resolve(frame.body.slice());
          const { code, message } = JSON.parse(frame.meta);
          reject(new SqwishError(isErrorCode(code) ? code : "internal", message));
        },
      };
      this.request(encodeFrame({ op: Op.fetch, id: 0, name: sha256 }), sink);
    });
  }

  #tell(id: number, sink: AnswerSink, frame: (ownId: number) => Uint8Array): void {
    for (const [ownId, call] of this.#calls) {
      if (call.id === id && call.sink === sink) return void this.#channel?.sendFrames(frame(ownId));
    }
  }
}

function lostFrame(id: number, mayHaveRun: "no" | "maybe"): Uint8Array {
  const message = "The connection to the manager was lost before the answer";
  return encodeFrame({
    op: Op.error,
    id,
    meta: JSON.stringify({ code: "manager_lost", message, details: { mayHaveRun } }),
  });
}
