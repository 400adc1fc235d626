/** One side of a WebSocket on a stream whose writes end when the test says so: peers that are slow, or read nothing. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import type { ChannelClose } from "../../lib/protocol/channel.ts";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { type ByteStream, WebSocketChannel } from "../../lib/protocol/websocket.ts";
import { ManualClock } from "../support/manual_clock.ts";

/** One write is under way until it is taken. */
class GatedStream implements ByteStream {
  readonly remoteAddress = "10.0.0.1";
  takenBytes = 0;
  destroyed = false;
  #waiting: { bytes: number; resolve: () => void } | null = null;

  start(): void {}
  write({ length }: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#waiting = { bytes: length, resolve });
  }
  pause(): void {}
  resume(): void {}
  destroy(): void {
    this.destroyed = true;
  }
  /** The peer takes what is being written; resolves once the next write has begun. */
  async take(): Promise<void> {
    this.takenBytes += this.#waiting?.bytes ?? 0;
    this.#waiting?.resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

const frame = encodeFrame({ op: Op.reply, id: 1, body: new Uint8Array(60_000) });

function openSide() {
  const clock = new ManualClock();
  const stream = new GatedStream();
  const channel = new WebSocketChannel(stream, { side: "client", clock });
  const closes: ChannelClose[] = [];
  channel.start({ onControl() {}, onFrames() {}, onClose: (close) => closes.push(close) });
  const fillTo = (bytes: number) => {
    while (!channel.closed && channel.bufferedBytes < bytes) channel.sendFrames(frame);
  };
  return { clock, stream, channel, closes, fillTo };
}

Deno.test("a peer that takes nothing is dropped once much waits for it, and not before it had its time", async () => {
  const { clock, stream, channel, closes, fillTo } = openSide();
  fillTo(limits.sendBufferBytesMax + frame.length);
  clock.advance(limits.sendStallMsMax);
  channel.sendFrames(frame);
  assert.equal(channel.closed, false);
  clock.advance(1);
  channel.sendFrames(frame);
  await stream.take();
  assert.match(closes[0].reason, /^the peer does not read: \d+ bytes are waiting for it$/);
  assert.equal(stream.destroyed, true);
});

Deno.test("a peer that is only slow is dropped when far more waits for it", async () => {
  const { clock, stream, channel, closes, fillTo } = openSide();
  for (let bytes = limits.sendBufferBytesHigh; bytes < limits.sendBufferBytesSlowMax; bytes *= 1.5) {
    fillTo(bytes);
    clock.advance(limits.sendStallMsMax);
    await stream.take();
    assert.equal(channel.closed, false);
  }
  fillTo(limits.sendBufferBytesSlowMax + frame.length);
  await stream.take();
  assert.match(closes[0].reason, /^the peer is too slow: \d+ bytes are waiting for it$/);
});

Deno.test("what waits when a connection is closed still leaves, for as long as some of it does", async () => {
  const { stream, channel, closes } = openSide();
  const bytes = 100 * frame.length;
  for (let i = 0; i < 100; i++) channel.sendFrames(frame);
  channel.close(undefined, undefined, limits.closeTransferMsMax);
  while (stream.takenBytes < bytes) {
    assert.equal(stream.destroyed, false, `closed with ${channel.bufferedBytes} bytes left`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await stream.take();
  }
  // The peer says nothing more.
  while (!stream.destroyed) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(closes.length, 1);
});

Deno.test("what nobody waits for is cut off when a connection is closed, and what the peer takes nothing of", async () => {
  const [given, stalled] = [openSide(), openSide()];
  for (const { channel } of [given, stalled]) for (let i = 0; i < 100; i++) channel.sendFrames(frame);
  given.channel.close();
  stalled.channel.close(undefined, undefined, limits.closeTransferMsMax);
  while (!given.stream.destroyed) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await given.stream.take();
  }
  assert.ok(given.stream.takenBytes < 100 * frame.length);
  assert.equal(stalled.stream.destroyed, false, "a slow line takes longer for one write");
  while (!stalled.stream.destroyed) await new Promise((resolve) => setTimeout(resolve, 50));
});
