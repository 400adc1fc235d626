/**
 * What an agent asks its manager: module downloads, and the requests that modules make with `ctx.invoke`. Ids are
 * this side's own and unique over reconnects, so that an answer of an earlier connection can't reach a later call.
 */
import { isErrorCode, SqwishError } from "../errors.ts";
import type { FrameSink } from "../hosting/host.ts";
import type { Channel } from "../protocol/channel.ts";
import { decodeFrame, encodeFrame, frameId, frameOp, Op, setFrameId } from "../protocol/frame.ts";

interface Call {
  /** The id the asker used, restored in the answers. */
  id: number;
  sink: FrameSink;
}

export class UpstreamCalls {
  #channel: Channel | null = null;
  #calls = new Map<number, Call>();
  /** Own ids by asker and the asker's id. */
  #ownIds = new Map<FrameSink, Map<number, number>>();
  #lastId = 0;
  /** Resolved while a manager is connected. */
  #attached = Promise.withResolvers<void>();

  /** Calls without an answer. */
  get size(): number {
    return this.#calls.size;
  }

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
    this.#ownIds.clear();
    for (const call of calls) call.sink.sendFrames(lostFrame(call.id, "maybe"));
  }

  /** Sends the `request` or `fetch` frame in `bytes[at, end)`, which becomes ours; answers go to `sink` with the frame's own id. */
  request(bytes: Uint8Array, at: number, end: number, sink: FrameSink): void {
    const id = frameId(bytes, at);
    if (!this.#channel) return sink.sendFrames(lostFrame(id, "no"));
    const ownId = this.#add(id, sink);
    setFrameId(bytes, at, ownId);
    this.#channel.sendFrames(bytes, at, end);
    this.#channel.freeWhenWritten(bytes, at, end);
  }

  /** The asker gives up on its request `id`. */
  cancel(id: number, sink: FrameSink): void {
    const ownId = this.#ownIds.get(sink)?.get(id);
    if (ownId !== undefined) this.#channel?.sendFrames(encodeFrame({ op: Op.cancel, id: ownId }));
  }

  /** The asker is gone (its runner ended): its requests are cancelled. */
  forget(sink: FrameSink): void {
    for (const ownId of [...this.#ownIds.get(sink)?.values() ?? []]) {
      this.#remove(ownId);
      this.#channel?.sendFrames(encodeFrame({ op: Op.cancel, id: ownId }));
    }
  }

  /** An answering frame from the manager; one that nobody waits for is dropped. */
  answer(message: Uint8Array, at: number, end: number): void {
    const ownId = frameId(message, at);
    const call = this.#calls.get(ownId);
    if (!call) return;
    if (frameOp(message, at) !== Op.part) this.#remove(ownId);
    setFrameId(message, at, call.id);
    call.sink.sendFrames(message, at, end);
    call.sink.freeWhenWritten?.(message, at, end);
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
      const sink: FrameSink = {
        bufferedBytes: 0,
        sendFrames(bytes, at) {
          const frame = decodeFrame(bytes, at);
          if (frame.op === Op.reply) resolve(frame.body.slice());
          else reject(readError(frame.meta));
        },
      };
      const frame = encodeFrame({ op: Op.fetch, id: 0, name: sha256 });
      this.request(frame, 0, frame.length, sink);
    });
  }

  #add(id: number, sink: FrameSink): number {
    do this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1; while (
      this.#calls.has(this.#lastId)
    );
    this.#calls.set(this.#lastId, { id, sink });
    const own = this.#ownIds.get(sink);
    if (own) own.set(id, this.#lastId);
    else this.#ownIds.set(sink, new Map([[id, this.#lastId]]));
    return this.#lastId;
  }

  #remove(ownId: number): void {
    const call = this.#calls.get(ownId);
    if (!call) return;
    this.#calls.delete(ownId);
    const own = this.#ownIds.get(call.sink);
    // An asker that used an id twice has its later call there.
    if (own?.get(call.id) === ownId) own.delete(call.id);
    if (own?.size === 0) this.#ownIds.delete(call.sink);
  }
}

function readError(meta: string): SqwishError {
  try {
    const { code, message } = JSON.parse(meta) as Record<string, unknown>;
    if (isErrorCode(code)) return new SqwishError(code, String(message));
  } catch {
    // Falls through: an answer without readable words is still an error.
  }
  return new SqwishError("internal", "The manager answered with an error that could not be read");
}

function lostFrame(id: number, mayHaveRun: "no" | "maybe"): Uint8Array {
  const message = "The connection to the manager was lost before the answer";
  return encodeFrame({
    op: Op.error,
    id,
    meta: JSON.stringify({ code: "manager_lost", message, details: { mayHaveRun } }),
  });
}
