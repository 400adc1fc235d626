import assert from "node:assert/strict";
import { createLog } from "../../lib/log.ts";
import { createEventLog } from "../../lib/manager/events.ts";
import { openStore } from "../../lib/store/store.ts";
import { ManualClock } from "../support/manual_clock.ts";

Deno.test("an event is told when its transaction is committed, and not at all when that is rolled back", () => {
  const store = openStore({ folder: null });
  try {
    const clock = new ManualClock();
    const lines: string[] = [];
    const events = createEventLog(
      store.events,
      clock,
      createLog({ clock, write: (line) => lines.push(line) }),
    );
    const heard: number[] = [];
    events.onRecorded(() => heard.push(store.events.lastId()));
    assert.throws(() =>
      store.transaction(() => {
        events.record("info", "deployed", "images", "this never happened");
        throw new Error("the disk is full");
      })
    );
    store.transaction(() => {
      events.record("warn", "agent_lost", "pi-1", "this did");
      assert.deepEqual(heard, []);
    });
    events.record("info", "agent_ready", "pi-1", "and this");
    assert.deepEqual(events.recent().map(({ id, kind }) => [id, kind]), [[1, "agent_lost"], [
      2,
      "agent_ready",
    ]]);
    assert.deepEqual(heard, [1, 2]);
    assert.equal(lines.length, 2);
    assert.doesNotMatch(lines.join(), /never happened/);
  } finally {
    store.close();
  }
});
