/** What a time in the past is described by is asked for once, however long the answer takes. */
import assert from "node:assert/strict";
import { createPast } from "../../dashboard/past_feed.js";
import type { OverviewView } from "../../lib/protocol/views.ts";

/** Events, the moment, and endpoints over the time. */
const questions = 3;

async function askedOver30Seconds(answer: () => Promise<Response>): Promise<number> {
  const real = { fetch: globalThis.fetch, now: performance.now };
  let [asked, clockMs] = [0, 0];
  globalThis.fetch = (() => (asked++, answer())) as typeof fetch;
  performance.now = () => clockMs;
  try {
    const past = createPast(() => {});
    for (; clockMs < 30_000; clockMs += 1000) {
      past.describe({} as OverviewView, 0, 60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return asked;
  } finally {
    globalThis.fetch = real.fetch;
    performance.now = real.now;
  }
}

Deno.test("a manager that is slow to answer is not asked again, one that was away is", async () => {
  assert.equal(await askedOver30Seconds(() => new Promise(() => {})), questions);
  assert.ok(await askedOver30Seconds(() => Promise.reject(new TypeError("refused"))) >= 7 * questions);
});
