import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { ModuleLogs } from "../../lib/manager/module_logs.ts";
import type { LogLine } from "../../lib/protocol/messages.ts";
import type { LogLineView } from "../../lib/protocol/views.ts";
import { openStore } from "../../lib/store/store.ts";

const line = (text: string, replicaSet = "images"): LogLine => (
  { atMs: 1, replicaSet, revision: 1, level: "info", text }
);
const noStorage = { loadAll: () => [], write: () => {}, remove: () => {} };
const always = () => true;
const texts = (logs: ModuleLogs, query: Parameters<ModuleLogs["list"]>[1], set = "images") =>
  logs.list(set, query).lines.map(({ text }) => text);

Deno.test("`list()` gives the newest lines, and to who follows those next after the last one seen", () => {
  const logs = new ModuleLogs(noStorage, 1);
  logs.push("pi-1", ["a", "b", "c", "d"].map((text) => line(text)), always);
  assert.deepEqual(texts(logs, { limit: 2 }), ["c", "d"]);
  assert.deepEqual(texts(logs, { limit: 0 }), []);
  const [{ id }] = logs.list("images", { limit: 4 }).lines;
  assert.deepEqual(texts(logs, { afterId: id, limit: 2 }), ["b", "c"], "none between is skipped");
});

Deno.test("lines are told apart by agent and by set, and those of unknown sets are dropped", () => {
  const logs = new ModuleLogs(noStorage, 1);
  logs.push("pi-1", [line("one"), line("other", "sums")], (set) => set === "images");
  logs.push("pi-2", [line("two")], always);
  assert.deepEqual(texts(logs, { limit: 9, agent: "pi-2" }), ["two"]);
  assert.deepEqual(texts(logs, { limit: 9 }), ["one", "two"]);
  assert.deepEqual(texts(logs, { limit: 9 }, "sums"), []);
});

Deno.test("what is kept of a set is bounded in lines, and in characters however long they are", () => {
  const logs = new ModuleLogs(noStorage, 1);
  const short = Array.from({ length: 5 * limits.logLinesKept }, (_, index) => line(String(index)));
  logs.push("pi-1", short, always);
  const kept = logs.list("images", { limit: Infinity }).lines;
  assert.ok(kept.length >= limits.logLinesKept && kept.length <= 2 * limits.logLinesKept);
  assert.equal(kept.at(-1)!.text, String(short.length - 1));

  const long = Array.from({ length: 2000 }, () => line("x".repeat(2 * limits.logLineBytesMax), "sums"));
  logs.push("pi-1", long, always);
  const characters = logs.list("sums", { limit: Infinity }).lines.reduce(
    (sum, { text }) => sum + text.length,
    0,
  );
  assert.ok(
    characters >= 1024 * 1024 - limits.logLineBytesMax && characters <= 2 * 1024 * 1024,
    String(characters),
  );
});

Deno.test("lines of sets that were deleted go when another set prints its first", () => {
  const logs = new ModuleLogs(noStorage, 1);
  logs.push("pi-1", [line("old")], always);
  logs.push("pi-1", [line("new", "sums")], (set) => set === "sums");
  assert.deepEqual(texts(logs, { limit: 9 }), []);
  assert.deepEqual(texts(logs, { limit: 9 }, "sums"), ["new"]);
});

Deno.test("a disk that takes nothing costs no line, and lines of deleted sets go from it once it takes some", () => {
  const store = openStore({ folder: null });
  let isFull = false;
  const guarded = <Args extends unknown[]>(work: (...args: Args) => void) => (...args: Args): void => {
    if (isFull) throw new Error("database or disk is full");
    work(...args);
  };
  const logs = new ModuleLogs({
    loadAll: () => store.logs.loadAll(),
    write: guarded((lines: readonly LogLineView[]) => store.logs.write(lines)),
    remove: guarded((sets: readonly string[]) => store.logs.remove(sets)),
  }, 1);
  logs.push("pi-1", [line("old")], always);
  logs.flush();
  isFull = true;
  logs.push("pi-1", [line("new", "sums")], (set) => set === "sums");
  assert.throws(() => logs.flush());
  isFull = false;
  logs.flush();
  assert.deepEqual(store.logs.loadAll().map(({ text }) => text), ["new"]);
  store.close();
});

Deno.test("lines can be asked for by gravity, request, revision, time and text together", () => {
  const logs = new ModuleLogs(noStorage, 1);
  logs.push("pi-1", [
    { ...line("all well"), requestId: "r1", atMs: 10 },
    { ...line("Low disk"), level: "warn", requestId: "r1", atMs: 20 },
    { ...line("no disk"), level: "error", requestId: "r2", revision: 2, atMs: 30 },
  ], always);
  assert.deepEqual(texts(logs, { limit: 9, level: "warn" }), ["Low disk", "no disk"]);
  assert.deepEqual(texts(logs, { limit: 9, requestId: "r1", sinceMs: 15 }), ["Low disk"]);
  assert.deepEqual(texts(logs, { limit: 9, revision: 2 }), ["no disk"]);
  assert.deepEqual(texts(logs, { limit: 9, contains: "DISK", level: "error" }), ["no disk"]);
});

Deno.test("a manager that starts anew still has the lines that were flushed, and goes on with their ids", () => {
  const store = openStore({ folder: null });
  try {
    const before = new ModuleLogs(store.logs, 1);
    before.push("pi-1", [line("one"), line("two")], always);
    before.flush();
    before.push("pi-1", [line("lost with the last minute")], always);
    const after = new ModuleLogs(store.logs, 2);
    assert.deepEqual(texts(after, { limit: 9 }), ["one", "two"]);
    const lastId = after.list("images", { limit: 1 }).lines[0].id;
    after.push("pi-1", [line("three")], always);
    assert.deepEqual(texts(after, { limit: 9, afterId: lastId }), ["three"]);
  } finally {
    store.close();
  }
});

Deno.test("whoever follows goes on from `lastId`, also past lines that did not match, and is told nothing old", () => {
  const logs = new ModuleLogs(noStorage, 1);
  logs.push("pi-1", [line("a"), line("b"), line("c")], always);
  const start = logs.list("images", { limit: 0 });
  assert.deepEqual(start.lines, []);
  assert.deepEqual(logs.list("images", { limit: 9, afterId: start.lastId }).lines, []);
  logs.push("pi-1", [line("d"), line("e"), line("f")], always);
  const part = logs.list("images", { limit: 2, afterId: start.lastId });
  assert.deepEqual(part.lines.map(({ text }) => text), ["d", "e"]);
  assert.deepEqual(texts(logs, { limit: 2, afterId: part.lastId }), ["f"], "none between is skipped");
  const filtered = logs.list("images", { limit: 9, afterId: start.lastId, contains: "nothing" });
  assert.deepEqual([filtered.lines, texts(logs, { limit: 9, afterId: filtered.lastId })], [[], []]);
});

Deno.test("numbers of lines that were lost before they were stored are not given to others after a restart", () => {
  const store = openStore({ folder: null });
  try {
    const before = new ModuleLogs(store.logs, 1);
    before.push("pi-1", [line("stored")], always);
    before.flush();
    before.push("pi-1", [line("lost"), line("lost too")], always);
    const { lastId } = before.list("images", { limit: 0 });
    const after = new ModuleLogs(store.logs, 2);
    assert.deepEqual(texts(after, { limit: 9, afterId: lastId }), []);
    after.push("pi-1", [line("new")], always);
    assert.deepEqual(texts(after, { limit: 9, afterId: lastId }), ["new"]);
  } finally {
    store.close();
  }
});

Deno.test("a set that is gone leaves no lines behind, in memory or on the disk", () => {
  const store = openStore({ folder: null });
  try {
    const logs = new ModuleLogs(store.logs, 1);
    logs.push("pi-1", [line("old")], always);
    logs.flush();
    logs.push("pi-1", [line("new", "sums")], (set) => set === "sums");
    logs.flush();
    assert.deepEqual(store.logs.loadAll().map(({ text }) => text), ["new"]);
  } finally {
    store.close();
  }
});

Deno.test("of a flood only what is kept goes to the disk, and nothing when nothing was printed", () => {
  const written: LogLineView[][] = [];
  const logs = new ModuleLogs({ ...noStorage, write: (lines) => void written.push([...lines]) }, 1);
  logs.push("pi-1", Array.from({ length: 9 * limits.logLinesKept }, (_, at) => line(String(at))), always);
  logs.flush();
  logs.flush();
  assert.equal(written.length, 1);
  assert.ok(written[0].length <= limits.logLinesKept);
});

Deno.test("chatty sets cost the disk a bounded number of bytes, and keep no line of a quiet one from it", () => {
  const written: LogLineView[][] = [];
  const logs = new ModuleLogs({ ...noStorage, write: (lines) => void written.push([...lines]) }, 1);
  const bytes = (lines: readonly LogLineView[]) =>
    lines.reduce((sum, { text }) => sum + text.length + 150, 0);
  const chatter = (set: string) => Array.from({ length: 6000 }, () => line("x".repeat(500), set));
  const minutes = 30;
  for (let minute = 0; minute < minutes; minute++) {
    for (const set of ["images", "sums", "texts"]) logs.push("pi-1", chatter(set), always);
    logs.push("pi-1", [line(`quiet ${minute}`, "quiet")], always);
    logs.flush();
  }
  const total = written.reduce((sum, lines) => sum + bytes(lines), 0);
  const { logStoredBytesAtOnce, logStoredBytesPerMinute } = limits;
  assert.ok(total <= logStoredBytesAtOnce + minutes * logStoredBytesPerMinute, `${total} bytes`);
  assert.ok(total >= logStoredBytesAtOnce + (minutes - 3) * logStoredBytesPerMinute, `${total} bytes`);
  const last = written.at(-1)!;
  assert.equal(last.filter(({ replicaSet }) => replicaSet === "quiet").length, 1);
  const shares = ["images", "sums", "texts"].map((set) =>
    last.filter(({ replicaSet }) => replicaSet === set)
  );
  for (const share of shares) {
    assert.ok(Math.abs(share.length - shares[0].length) <= 1, "each has as many as the others");
    assert.equal(
      share.at(-1)!.id,
      logs.list(share[0].replicaSet, { limit: 1 }).lines[0].id,
      "and its newest",
    );
  }
});

Deno.test("what was too much for a minute follows in quieter ones, and all of it at the manager's end", () => {
  const written: LogLineView[] = [];
  const logs = new ModuleLogs({ ...noStorage, write: (lines) => void written.push(...lines) }, 1);
  const lines = Array.from({ length: 900 }, (_, at) => line(String(at).padEnd(1100, ".")));
  for (const set of ["images", "sums"]) {
    logs.push("pi-1", lines.map((each) => ({ ...each, replicaSet: set })), always);
  }
  logs.flush();
  const atOnce = written.length;
  assert.ok(atOnce > 800 && atOnce < 1000, `${atOnce} lines`);
  logs.flush();
  assert.ok(written.length > atOnce + 40 && written.length < atOnce + 60, `${written.length - atOnce} lines`);
  logs.flush(true);
  assert.equal(new Set(written.map(({ id }) => id)).size, 1800);
  assert.equal(written.length, 1800, "each once");
});
