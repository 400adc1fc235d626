import assert from "node:assert/strict";
import { Database } from "../../lib/store/database.ts";
import { EventStore } from "../../lib/store/events.ts";
import { migrate } from "../../lib/store/migrate.ts";

const nowMs = 1_800_000_000_000;

function withEvents(keptMax: number, work: (events: EventStore) => void): void {
  const database = new Database(":memory:");
  try {
    migrate(database, "memory");
    work(new EventStore(database, keptMax));
  } finally {
    database.close();
  }
}

function append(events: EventStore, count: number, subject = "attic"): void {
  for (let at = 0; at < count; at++) {
    const kind = at % 2 === 0 ? "agent_joined" : "agent_lost";
    events.append({ atMs: nowMs + at, level: "info", kind, subject, message: `message ${at}` });
  }
}

Deno.test("`list()` returns the newest events in the order they were appended", () => {
  withEvents(100, (events) => {
    append(events, 5);
    assert.deepEqual(events.list({ limit: 2 }).map((event) => event.id), [4, 5]);
    assert.deepEqual(events.list({ limit: 1 })[0], {
      id: 5,
      atMs: nowMs + 4,
      level: "info",
      kind: "agent_joined",
      subject: "attic",
      message: "message 4",
    });
  });
});

Deno.test("`list()` after an id returns the oldest that follow it, so that nothing is skipped", () => {
  withEvents(100, (events) => {
    append(events, 5);
    assert.deepEqual(events.list({ afterId: 2, limit: 2 }).map((event) => event.id), [3, 4]);
    assert.deepEqual(events.list({ afterId: 5 }), []);
    assert.equal(events.lastId(), 5);
  });
});

Deno.test("`list()` filters by time, kind and subject together", () => {
  withEvents(100, (events) => {
    append(events, 6, "attic");
    append(events, 6, "shed");
    const found = events.list({ sinceMs: nowMs + 2, kinds: ["agent_joined"], subject: "shed" });
    assert.deepEqual(found.map((event) => event.id), [9, 11]);
  });
});

Deno.test("old events are dropped while new ones are appended", () => {
  withEvents(100, (events) => {
    append(events, 1000);
    const kept = events.list({ limit: 5000 });
    assert.equal(kept.length, 100);
    assert.equal(kept[0].id, 901);
  });
});

Deno.test("events older than 30 days are dropped, however few there are", () => {
  withEvents(100, (events) => {
    append(events, 10);
    assert.equal(events.prune(nowMs + 5 + 30 * 24 * 3600_000), 5);
    assert.deepEqual(events.list().map((event) => event.id), [6, 7, 8, 9, 10]);
  });
});

Deno.test("`list()` filters by gravity and by an end", () => {
  withEvents(100, (events) => {
    for (const [at, level] of (["info", "warn", "error", "warn"] as const).entries()) {
      events.append({ atMs: nowMs + at, level, kind: "agent_lost", subject: "attic", message: level });
    }
    assert.deepEqual(events.list({ level: "warn" }).map((event) => event.id), [2, 3, 4]);
    assert.deepEqual(events.list({ level: "error" }).map((event) => event.id), [3]);
    assert.deepEqual(events.list({ level: "warn", untilMs: nowMs + 3 }).map((event) => event.id), [2, 3]);
  });
});

Deno.test("an event's id is not given again after its event was dropped", () => {
  withEvents(0, (events) => {
    append(events, 3);
    events.prune(nowMs);
    append(events, 1);
    assert.deepEqual(events.list().map((event) => event.id), [4]);
  });
});

Deno.test("a message beyond 4096 characters is cut", () => {
  withEvents(10, (events) => {
    const stored = events.append({
      atMs: nowMs,
      level: "error",
      kind: "rollout_failed",
      subject: "images",
      message: "x".repeat(10_000),
    });
    assert.equal(stored.message.length, 4096);
  });
});
