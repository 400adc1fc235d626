/** Deploys and failures on the charts: those of the time that is shown, and of no other. */
import assert from "node:assert/strict";
import { createMarks } from "../../dashboard/marks.js";
import type { EventView } from "../../lib/protocol/views.ts";

const hourMs = 3_600_000;
const nowMs = 100 * hourMs;

function event(id: number, atMs: number, kind = "deployed"): EventView {
  return { id, atMs, level: "info", kind, subject: "images", message: `${kind} ${id}` };
}

/** Answers as the manager would, from `stored`, and counts how often it was asked. */
function serving(stored: EventView[]) {
  const real = globalThis.fetch;
  const asked: string[] = [];
  globalThis.fetch = ((path: string) => {
    asked.push(path);
    const query = new URL(path, "https://manager.test").searchParams;
    const [sinceMs, untilMs] = ["sinceMs", "untilMs"].map((name) => Number(query.get(name)));
    const events = stored.filter(({ atMs }) => atMs >= sinceMs && atMs < untilMs);
    return Promise.resolve(new Response(JSON.stringify({ events })));
  }) as typeof fetch;
  return { asked, [Symbol.dispose]: () => void (globalThis.fetch = real) };
}

Deno.test("a window that moves on is asked for once, and what leaves it is neither marked nor kept", async () => {
  using manager = serving([event(1, nowMs - 2 * hourMs), event(2, nowMs - 50_000)]);
  const marks = createMarks();
  await marks.load(nowMs - 60_000, nowMs);
  marks.observe([event(1, nowMs - 2 * hourMs), event(3, nowMs - 10)]);
  assert.deepEqual(marks.events().map(({ id }) => id), [3, 2]);
  for (let step = 1; step <= 30; step++) await marks.load(nowMs - 60_000 + step * 1000, nowMs + step * 1000);
  assert.equal(manager.asked.length, 1);
  assert.deepEqual(marks.events().map(({ id }) => id), [3]);
  assert.deepEqual(marks.marks(nowMs, nowMs + hourMs), []);
});

Deno.test("a window elsewhere is asked for, however little lies between, and one of those is what it shows", async () => {
  const stored = [
    event(1, nowMs - 5 * hourMs, "agent_lost"),
    event(2, nowMs - 3 * hourMs),
    event(3, nowMs - 10, "woken"),
  ];
  using manager = serving(stored);
  const marks = createMarks();
  await marks.load(nowMs - 60_000, nowMs);
  await marks.load(nowMs - 6 * hourMs, nowMs - 4 * hourMs);
  assert.deepEqual(marks.marks(0, nowMs), [{ atMs: nowMs - 5 * hourMs, isBad: true, text: "agent_lost 1" }]);
  await marks.load(nowMs - 4 * hourMs, nowMs);
  assert.equal(manager.asked.length, 3);
  assert.deepEqual(marks.events().map(({ id }) => id), [3, 2]);
  assert.deepEqual(marks.marks(0, nowMs).map(({ text }) => text), ["deployed 2"], "a waking is no deploy");
});
