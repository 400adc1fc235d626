import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createLog } from "../../lib/log.ts";
import { type Webhook, Webhooks } from "../../lib/manager/webhooks.ts";
import { eventKinds } from "../../lib/protocol/event_kinds.ts";
import { openStore } from "../../lib/store/store.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { readSourceFiles } from "../support/source_files.ts";

interface Delivered {
  cluster: string;
  event: { id: number; kind: string; message: string };
}

/** A real HTTP server that answers with `statuses` in turn, and 200 from then on. */
function receiver(statuses: number[] = []) {
  const got: Delivered[] = [];
  const raw: { body: string; signature: string | null }[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const body = await request.text();
    raw.push({ body, signature: request.headers.get("sqwish-signature") });
    const status = statuses.shift() ?? 200;
    if (status === 200) got.push(JSON.parse(body));
    return new Response(null, { status });
  });
  return { got, raw, url: `http://127.0.0.1:${server.addr.port}/hook`, close: () => server.shutdown() };
}

async function withWebhooks(
  statuses: number[],
  work: (rig: {
    hook: ReturnType<typeof receiver>;
    clock: ManualClock;
    lines: string[];
    /** Reading events fails while it is set. */
    disk: { isBroken: boolean };
    start(change?: Partial<Webhook>): Webhooks;
    happen(kind: string): number;
  }) => Promise<void>,
): Promise<void> {
  const clock = new ManualClock();
  const store = openStore({ folder: null });
  const hook = receiver(statuses);
  const lines: string[] = [];
  const log = createLog({ clock, write: (line) => lines.push(line), level: "warn" });
  const disk = { isBroken: false };
  const events = {
    list(filter: Parameters<typeof store.events.list>[0]) {
      if (disk.isBroken) throw new Error("disk I/O error");
      return store.events.list(filter);
    },
    lastId: () => store.events.lastId(),
  };
  const open: Webhooks[] = [];
  try {
    await work({
      ...{ hook, clock, lines, disk },
      start(change = {}) {
        const webhooks = new Webhooks({
          clock,
          log,
          cluster: "attic",
          events,
          settings: store.settings,
        });
        open.push(webhooks);
        webhooks.configure([{ url: hook.url, on: ["agent_lost"], ...change }]);
        return webhooks;
      },
      happen: (kind) =>
        store.events.append({ atMs: clock.nowMs(), level: "warn", kind, subject: "pi", message: kind }).id,
    });
  } finally {
    for (const webhooks of open) await webhooks.close();
    await hook.close();
    store.close();
  }
}

Deno.test("a webhook hears of the events it asks for, in order, from its first start on", async () => {
  await withWebhooks([], async ({ hook, start, happen }) => {
    happen("agent_lost");
    const webhooks = start();
    const [first, , second] = [happen("agent_lost"), happen("deployed"), happen("agent_lost")];
    webhooks.observe();
    await eventually("both", () => hook.got.length === 2);
    assert.deepEqual(hook.got.map(({ event }) => event.id), [first, second]);
    assert.equal(hook.got[0].cluster, "attic");
  });
});

Deno.test("an address that fails is tried again, later and later, and misses nothing", async () => {
  await withWebhooks([500, 503], async ({ hook, clock, start, happen }) => {
    const webhooks = start();
    const ids = [happen("agent_lost"), happen("agent_lost")];
    webhooks.observe();
    await eventually("the first try", () => hook.raw.length === 1);
    await eventually("the wait for the second", () => {
      clock.advance(1000);
      return hook.raw.length === 2;
    });
    await eventually("both", () => {
      clock.advance(1000);
      return hook.got.length === 2;
    });
    assert.deepEqual(hook.got.map(({ event }) => event.id), ids);
  });
});

Deno.test("what was not delivered comes after a restart, and what was does not come again", async () => {
  await withWebhooks([200, 500], async ({ hook, start, happen }) => {
    const before = start();
    happen("agent_lost");
    const missed = happen("agent_lost");
    before.observe();
    await eventually("one delivered, one refused", () => hook.raw.length === 2);
    await before.close();
    start();
    await eventually("the missed one", () => hook.got.length === 2);
    assert.equal(hook.got[1].event.id, missed);
  });
});

Deno.test("events that can't be read are tried again later and later, and the log says so", async () => {
  await withWebhooks([], async ({ hook, clock, lines, disk, start, happen }) => {
    const webhooks = start();
    const id = happen("agent_lost");
    disk.isBroken = true;
    webhooks.observe();
    await eventually("it is told", () => lines.length === 1);
    clock.advance(1000);
    await eventually("it is told again", () => lines.length === 2);
    clock.advance(1000);
    disk.isBroken = false;
    clock.advance(1000);
    await eventually("it is delivered", () => hook.got.length === 1);
    assert.equal(hook.got[0].event.id, id);
    assert.match(lines.join(), /disk I\/O error/);
    assert.equal(lines.length, 2);
  });
});

Deno.test("a webhook that was removed hears, when it is back, only of what happens from then on", async () => {
  await withWebhooks([], async ({ hook, start, happen }) => {
    const webhooks = start();
    const known = { url: hook.url, on: ["agent_lost" as const] };
    happen("agent_lost");
    webhooks.observe();
    await eventually("the first", () => hook.got.length === 1);
    webhooks.configure([]);
    await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
    happen("agent_lost");
    webhooks.configure([known]);
    const id = happen("agent_lost");
    webhooks.observe();
    await eventually("the last", () => hook.got.length === 2);
    assert.equal(hook.got[1].event.id, id);
  });
});

Deno.test("two webhooks of one address with different wishes are told each its own", async () => {
  await withWebhooks([], async ({ hook, start, happen }) => {
    const webhooks = start();
    webhooks.configure([{ url: hook.url, on: ["agent_lost"] }, { url: hook.url, on: ["deployed"] }]);
    const ids = [happen("agent_lost"), happen("deployed")];
    webhooks.observe();
    await eventually("both", () => hook.got.length === 2);
    assert.deepEqual(hook.got.map(({ event }) => event.id).sort(), ids);
    await webhooks.close();
    const again = start();
    again.configure([{ url: hook.url, on: ["agent_lost"] }, { url: hook.url, on: ["deployed"] }]);
    const last = happen("deployed");
    again.observe();
    await eventually("the next", () => hook.got.length === 3);
    assert.equal(hook.got[2].event.id, last);
  });
});

Deno.test("an address is a secret: the log names its host and no more", async () => {
  await withWebhooks([], async ({ hook, lines, start, happen }) => {
    const { port } = new URL(hook.url);
    // Nothing listens at port 1.
    const webhooks = start({
      url: hook.url.replace(port, "1").replace("/hook", "/services/SECRET?token=SECRET"),
    });
    happen("agent_lost");
    webhooks.observe();
    await eventually("the failure is told", () => lines.length === 1);
    assert.match(lines[0], /127\.0\.0\.1:1/);
    assert.doesNotMatch(lines[0], /SECRET/);
  });
});

Deno.test("what is sent is signed over time and body with the webhook's secret", async () => {
  const secret = "0123456789abcdef";
  await withWebhooks([], async ({ hook, start, happen }) => {
    const webhooks = start({ secret });
    happen("agent_lost");
    webhooks.observe();
    await eventually("it", () => hook.raw.length === 1);
    const { body, signature } = hook.raw[0];
    const [, seconds, digest] = /^t=(\d+),v1=([\da-f]{64})$/.exec(signature ?? "") ?? [];
    assert.equal(digest, createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex"));
  });
});

Deno.test("every kind of event that the code records can be subscribed to", () => {
  const known = new Set<string>(eventKinds);
  const recorded =
    /\brecord\(\s*"(?:info|warn|error)",\s*"([a-z_]+)"|kind: "((?:rollout|canary|replica|replicas)_[a-z_]+)"/g;
  const found = new Set<string>();
  for (const { path, text } of readSourceFiles([".ts"])) {
    if (!path.startsWith("lib/")) continue;
    for (const match of text.matchAll(recorded)) found.add(match[1] ?? match[2]);
  }
  assert.ok(found.size > 10);
  assert.deepEqual([...found].filter((kind) => !known.has(kind)), []);
});
