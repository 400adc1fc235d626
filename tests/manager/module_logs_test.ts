import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { ModuleLogs } from "../../lib/manager/module_logs.ts";
import type { LogLine } from "../../lib/protocol/messages.ts";

const line = (text: string, replicaSet = "images"): LogLine => (
  { atMs: 1, replicaSet, revision: 1, level: "info", text }
);
const always = () => true;
const texts = (logs: ModuleLogs, query: Parameters<ModuleLogs["list"]>[1], set = "images") =>
  logs.list(set, query).map(({ text }) => text);

Deno.test("`list()` gives the newest lines, and to who follows those next after the last one seen", () => {
  const logs = new ModuleLogs();
  logs.push("pi-1", ["a", "b", "c", "d"].map((text) => line(text)), always);
  assert.deepEqual(texts(logs, { limit: 2 }), ["c", "d"]);
  assert.deepEqual(texts(logs, { limit: 0 }), []);
  const [{ id }] = logs.list("images", { limit: 4 });
  assert.deepEqual(texts(logs, { afterId: id, limit: 2 }), ["b", "c"], "none between is skipped");
});

Deno.test("lines are told apart by agent and by set, and those of unknown sets are dropped", () => {
  const logs = new ModuleLogs();
  logs.push("pi-1", [line("one"), line("other", "sums")], (set) => set === "images");
  logs.push("pi-2", [line("two")], always);
  assert.deepEqual(texts(logs, { limit: 9, agent: "pi-2" }), ["two"]);
  assert.deepEqual(texts(logs, { limit: 9 }), ["one", "two"]);
  assert.deepEqual(texts(logs, { limit: 9 }, "sums"), []);
});

Deno.test("what is kept of a set is bounded in lines, and in characters however long they are", () => {
  const logs = new ModuleLogs();
  const short = Array.from({ length: 5 * limits.logLinesKept }, (_, index) => line(String(index)));
  logs.push("pi-1", short, always);
  const kept = logs.list("images", { limit: Infinity });
  assert.ok(kept.length >= limits.logLinesKept && kept.length <= 2 * limits.logLinesKept);
  assert.equal(kept.at(-1)!.text, String(short.length - 1));

  const long = Array.from({ length: 2000 }, () => line("x".repeat(2 * limits.logLineBytesMax), "sums"));
  logs.push("pi-1", long, always);
  const characters = logs.list("sums", { limit: Infinity }).reduce((sum, { text }) => sum + text.length, 0);
  assert.ok(
    characters >= 1024 * 1024 - limits.logLineBytesMax && characters <= 2 * 1024 * 1024,
    String(characters),
  );
});

Deno.test("lines of sets that were deleted go when another set prints its first", () => {
  const logs = new ModuleLogs();
  logs.push("pi-1", [line("old")], always);
  logs.push("pi-1", [line("new", "sums")], (set) => set === "sums");
  assert.deepEqual(texts(logs, { limit: 9 }), []);
  assert.deepEqual(texts(logs, { limit: 9 }, "sums"), ["new"]);
});
