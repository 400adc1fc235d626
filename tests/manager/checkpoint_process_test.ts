import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import { keepLogShort } from "../../lib/manager/checkpoint_process.ts";
import { ManualClock } from "../support/manual_clock.ts";

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

/** The store's log and what became of the checkpoints, which the test ends. */
function start() {
  const clock = new ManualClock();
  const log = { bytes: 0, changes: 0 };
  const started: PromiseWithResolvers<void>[] = [];
  const stop = keepLogShort({
    ...{ clock, log: silentLog, store: { log: () => log } },
    checkpoint() {
      started.push(Promise.withResolvers<void>());
      return started.at(-1)!.promise;
    },
  });
  const minute = async () => {
    await settle();
    clock.advance(60_000);
    return started.length;
  };
  return { log, started, stop, minute };
}

Deno.test("a log is brought in once it is large, once at a time, and again only after more was written", async () => {
  const { log, started, stop, minute } = start();
  log.changes = 5;
  assert.equal(await minute(), 0, "a small log is left alone");
  log.bytes = limits.storeLogBytesMax;
  assert.equal(await minute(), 1);
  log.changes = 6;
  assert.equal(await minute(), 1, "the first is still under way");
  started[0].resolve();
  assert.equal(await minute(), 2, "more had been written meanwhile");
  started[1].resolve();
  assert.equal(await minute(), 2, "nothing new is in it");
  stop();
});

Deno.test("a checkpoint that failed is tried again", async () => {
  const { log, started, stop, minute } = start();
  Object.assign(log, { bytes: limits.storeLogBytesMax, changes: 1 });
  assert.equal(await minute(), 1);
  started[0].reject(new Error("no process"));
  assert.equal(await minute(), 2);
  started[1].resolve();
  stop();
});
