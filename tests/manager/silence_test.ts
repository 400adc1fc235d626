/** Whose silence is whose fault. */
import assert from "node:assert/strict";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import { SilenceWatch } from "../../lib/manager/silence.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { ManualClock } from "../support/manual_clock.ts";

function watched(clock: Clock) {
  const watch = new SilenceWatch(clock, silentLog);
  const { left: peer, right: channel } = createMemoryChannelPair();
  for (const end of [peer, channel]) end.start({ onControl() {}, onFrames() {}, onClose() {} });
  watch.add(channel);
  return { watch, peer, channel };
}

const longMs = limits.clientSilentMsMax + limits.clientPingMs;

Deno.test("who is not read from is not silent by its own fault while it takes what waits for it", () => {
  const clock = new ManualClock();
  const { channel, peer, watch } = watched(clock);
  clock.advance(limits.clientSilentMsMax - limits.clientPingMs);
  channel.pauseReading();
  // So that what waits for it is not the same at any look.
  peer.pauseReading();
  for (let ms = 0; ms < 3 * longMs; ms += limits.clientPingMs) {
    channel.sendControl("{}");
    clock.advance(limits.clientPingMs);
  }
  assert.equal(channel.closed, false);
  channel.resumeReading();
  clock.advance(limits.clientSilentMsMax - limits.clientPingMs);
  assert.equal(channel.closed, false);
  clock.advance(2 * limits.clientPingMs);
  assert.equal(channel.closed, true);
  watch.close();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("who is not read from and takes nothing is given up like any other", () => {
  const clock = new ManualClock();
  const { channel, watch } = watched(clock);
  channel.pauseReading();
  clock.advance(longMs);
  assert.equal(channel.closed, true);
  watch.close();
});

Deno.test("a manager that was itself asleep or stalled blames nobody for what it has not read yet", () => {
  const clock = new ManualClock();
  let look = () => {};
  const stalled = {
    monotonicMs: () => clock.monotonicMs(),
    every: (_: number, action: () => void) => look = action,
  };
  const { channel, peer } = watched(stalled as unknown as Clock);
  look();
  clock.advance(10 * longMs);
  look();
  assert.equal(channel.closed, false);
  peer.sendControl("{}");
  for (let looks = 0; looks < limits.clientSilentMsMax / limits.clientPingMs; looks++) look();
  assert.equal(channel.closed, false);
  look();
  assert.equal(channel.closed, true);
});

Deno.test("who has gone is watched no more", () => {
  const clock = new ManualClock();
  const { channel, watch } = watched(clock);
  watch.remove(channel);
  clock.advance(3 * longMs);
  assert.equal(channel.closed, false);
  watch.close();
});
