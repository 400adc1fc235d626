/** What every `Channel` promises, run over the in-memory pair and over real WebSockets with TLS. */
import assert from "node:assert/strict";
import type { Channel, ChannelClose } from "../../lib/protocol/channel.ts";
import { decodeFrame, encodeFrame, forEachFrame, Op } from "../../lib/protocol/frame.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { limits } from "../../lib/limits.ts";
import { eventually } from "../support/eventually.ts";
import { openWebSocketPairs } from "../support/websocket_pair.ts";

interface Pairs {
  open(): Promise<{ left: Channel; right: Channel }>;
  close(): Promise<void>;
}

class Recorder {
  readonly controls: string[] = [];
  readonly ids: number[] = [];
  readonly sizes: number[] = [];
  readonly closes: ChannelClose[] = [];
  messages = 0;
  constructor(readonly channel: Channel, onFrames?: (message: Uint8Array) => void) {
    channel.start({
      onControl: (text) => this.controls.push(text),
      onFrames: (message) => {
        this.messages++;
        onFrames?.(message);
        forEachFrame(message, (at) => {
          const frame = decodeFrame(message, at);
          this.ids.push(frame.id);
          this.sizes.push(frame.body.length);
        });
      },
      onClose: (close) => this.closes.push(close),
    });
  }
}

const frame = (id: number, bytes = 0) => encodeFrame({ op: Op.reply, id, body: new Uint8Array(bytes) });

const implementations: Record<string, () => Promise<Pairs>> = {
  memory: () =>
    Promise.resolve({ open: () => Promise.resolve(createMemoryChannelPair()), close: async () => {} }),
  websocket: () => openWebSocketPairs(),
  "acknowledging websocket": () => openWebSocketPairs({ sockets: null }),
};

for (const [name, openPairs] of Object.entries(implementations)) {
  const withPair = async (body: (left: Channel, right: Channel) => Promise<void>): Promise<void> => {
    const pairs = await openPairs();
    const { left, right } = await pairs.open();
    try {
      await body(left, right);
    } finally {
      left.abandon("test over");
      right.abandon("test over");
      await pairs.close();
    }
  };

  Deno.test(`${name} channel: what comes in is counted at each end by itself`, () =>
    withPair(async (left, right) => {
      const b = new Recorder(right);
      new Recorder(left);
      const before = { left: left.receivedBytes, right: right.receivedBytes };
      left.sendFrames(frame(1, 50_000));
      await eventually("the frame", () => b.ids.length === 1);
      assert.ok(right.receivedBytes - before.right >= 50_000);
      assert.equal(left.receivedBytes, before.left);
    }));

  Deno.test(`${name} channel: control messages and frames arrive whole and in order, both ways`, () =>
    withPair(async (left, right) => {
      const a = new Recorder(left);
      const b = new Recorder(right);
      for (let i = 0; i < 500; i++) {
        left.sendFrames(frame(i, i * 7));
        right.sendFrames(frame(i, 3));
        if (i % 50 === 0) left.sendControl(`{"n":${i},"é":"✓"}`);
      }
      await eventually("all frames", () => b.ids.length === 500 && a.ids.length === 500);
      const inOrder = Array.from({ length: 500 }, (_, i) => i);
      assert.deepEqual(b.ids, inOrder);
      assert.deepEqual(a.ids, inOrder);
      assert.deepEqual(b.sizes, inOrder.map((i) => i * 7));
      assert.deepEqual(b.controls.map((text) => JSON.parse(text).n), [
        0,
        50,
        100,
        150,
        200,
        250,
        300,
        350,
        400,
        450,
      ]);
    }));

  Deno.test(`${name} channel: a body of the largest size passes`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const b = new Recorder(right);
      left.sendFrames(frame(1, limits.bodyBytesMax));
      left.sendFrames(frame(2));
      await eventually("both frames", () => b.ids.length === 2);
      // A small frame may overtake a large one of another id.
      assert.deepEqual(b.sizes.toSorted((x, y) => x - y), [0, limits.bodyBytesMax]);
    }));

  Deno.test(`${name} channel: a large frame that nobody else needs arrives whole, and its memory is given back`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const b = new Recorder(right);
      const large = frame(1, 1_000_000);
      left.sendFrames(large);
      left.freeWhenWritten(large, 0, large.length);
      left.sendFrames(frame(1));
      await eventually("both frames", () => b.ids.length === 2);
      assert.deepEqual(b.sizes, [1_000_000, 0]);
      assert.equal(large.buffer.byteLength, 0);
    }));

  Deno.test(`${name} channel: large bodies pass both ways at once, more than any buffer holds`, () =>
    withPair(async (left, right) => {
      const a = new Recorder(left);
      const b = new Recorder(right);
      for (let id = 1; id <= 6; id++) {
        left.sendFrames(frame(id, limits.bodyBytesMax));
        right.sendFrames(frame(id, limits.bodyBytesMax));
      }
      await eventually("all bodies", () => a.ids.length === 6 && b.ids.length === 6, 30_000);
      assert.equal(left.bufferedBytes + right.bufferedBytes, 0);
    }));

  Deno.test(`${name} channel: it is jammed from over the high mark until it is told that there is room again`, () =>
    withPair(async (left, right) => {
      new Recorder(right);
      const jammedAt: boolean[] = [];
      left.start({ onControl() {}, onFrames() {}, onClose() {}, onDrain: () => jammedAt.push(left.jammed) });
      assert.equal(left.jammed, false);
      left.sendFrames(frame(1, limits.sendBufferBytesHigh));
      left.sendFrames(frame(2, limits.sendBufferBytesHigh / 2));
      assert.equal(left.jammed, true);
      await eventually("it has been read", () => left.bufferedBytes === 0);
      assert.equal(left.jammed, false);
      assert.ok(jammedAt.every((jammed) => !jammed));
    }));

  Deno.test(`${name} channel: frames of one id stay in order, large and small`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const b = new Recorder(right);
      const sizes = [10, 400_000, 0, 70_000, 70_000, 3];
      for (const size of sizes) left.sendFrames(frame(5, size));
      await eventually("all frames", () => b.sizes.length === sizes.length);
      assert.deepEqual(b.sizes, sizes);
    }));

  Deno.test(`${name} channel: what can't be frames is told once, and nothing after it is delivered`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const told: string[] = [];
      const delivered: number[] = [];
      right.start({
        onControl() {},
        onFrames: (frames) => delivered.push(frames.length),
        onMalformed: (error) => told.push(error.code),
        onClose() {},
      });
      left.sendFrames(frame(1));
      await eventually("the good frame", () => delivered.length === 1);
      const bad = frame(2);
      bad[4] = 99;
      left.sendFrames(bad);
      await eventually("the refusal", () => told.length === 1);
      left.sendFrames(frame(3));
      left.sendControl("{}");
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual([told, delivered.length], [["invalid_request"], 1]);
    }));

  Deno.test(`${name} channel: received bytes are the receiver's to rewrite`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const kept: Uint8Array[] = [];
      const b = new Recorder(right, (message) => kept.push(message));
      for (let i = 0; i < 200; i++) {
        left.sendFrames(encodeFrame({ op: Op.reply, id: i, body: new Uint8Array(900).fill(i) }));
        if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await eventually("all frames", () => b.ids.length === 200);
      for (const message of kept) {
        forEachFrame(message, (at) => {
          const { id, body } = decodeFrame(message, at);
          assert.ok(body.every((byte) => byte === id % 256), `frame ${id} was overwritten by later bytes`);
        });
      }
    }));

  Deno.test(`${name} channel: nothing is delivered while reading is paused, everything after`, () =>
    withPair(async (left, right) => {
      new Recorder(left);
      const b = new Recorder(right);
      assert.equal(right.readingPaused, false);
      right.pauseReading();
      assert.equal(right.readingPaused, true);
      left.sendFrames(frame(1));
      left.sendControl("{}");
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.deepEqual([b.ids.length, b.controls.length], [0, 0]);
      right.resumeReading();
      assert.equal(right.readingPaused, false);
      await eventually("the held messages", () => b.ids.length === 1 && b.controls.length === 1);
    }));

  Deno.test(`${name} channel: closing sends what was queued, then tells both sides once why`, () =>
    withPair(async (left, right) => {
      const a = new Recorder(left);
      const b = new Recorder(right);
      left.sendFrames(frame(1, 300_000));
      left.sendControl("{}");
      left.close(1008, "enough");
      left.close(1000, "again");
      left.sendFrames(frame(2));
      await eventually("both closes", () => a.closes.length > 0 && b.closes.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(b.ids, [1]);
      assert.equal(b.controls.length, 1);
      assert.deepEqual(b.closes, [{ code: 1008, reason: "enough" }]);
      assert.deepEqual(a.closes, [{ code: 1008, reason: "enough" }]);
      assert.ok(left.closed && right.closed);
    }));

  Deno.test(`${name} channel: an abandoned connection is an abnormal close for the peer`, () =>
    withPair(async (left, right) => {
      const a = new Recorder(left);
      const b = new Recorder(right);
      left.abandon("no answer");
      await eventually("both closes", () => a.closes.length > 0 && b.closes.length > 0);
      assert.deepEqual(a.closes, [{ code: 1006, reason: "no answer" }]);
      assert.equal(b.closes[0].code, 1006);
    }));
}
