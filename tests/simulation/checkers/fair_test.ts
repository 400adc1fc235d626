/** What `fair` finds fault with, and what it can't tell. */
import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../../lib/protocol/frame.ts";
import type { Connection } from "../observer.ts";
import type { World } from "../world.ts";
import { fair } from "./fair.ts";

/** A checker with connections of two clients, each frame in an event of its own. */
function createScene() {
  const found: string[] = [];
  const timeline = { count: 0 };
  const checker = fair(
    { timeline, fail: (_: string, message: string) => found.push(message) } as unknown as World,
  );
  const open = (id: number, kind: Connection["kind"], name: string): Connection => {
    const connection = { id, kind, name, openedMs: 0, isJammed: () => false, isClosing: () => false };
    checker.connectionOpened!(connection);
    return connection;
  };
  const request = (n: number) => {
    timeline.count++;
    const body = new TextEncoder().encode(`{"n":${n}}`);
    return encodeFrame({ op: Op.request, id: n, name: "resize/quick", body });
  };
  const agent = open(1, "agent", "attic");
  return {
    found,
    open,
    ask: (connection: Connection, n: number) => checker.managerGot!(connection, request(n), 0),
    serve: (n: number) => checker.managerSent!(agent, request(n), 0),
    answer: (connection: Connection, n: number) =>
      checker.managerSent!(connection, encodeFrame({ op: Op.reply, id: n }), 0),
  };
}

Deno.test("`fair` finds two turns of one client while another waits", () => {
  const { found, open, ask, serve } = createScene();
  const [one, other] = [open(2, "client", "anna"), open(3, "client", "bert")];
  ask(one, 1);
  for (const n of [10, 11]) ask(other, n);
  serve(10);
  assert.deepEqual(found, []);
  serve(11);
  assert.match(found[0], /^bert had more than 1 turns at resize\/quick while anna waited/);
});

Deno.test("`fair` takes the turn of a request that was sent on several connections for one of any of them", () => {
  const { found, open, ask, serve } = createScene();
  const [first, other] = [open(2, "client", "anna"), open(3, "client", "bert")];
  for (const n of [1, 2]) ask(first, n);
  for (const n of [10, 11]) ask(other, n);
  // Anna has lost two connections, which the manager still believes in.
  const [second, third] = [open(4, "client", "anna"), open(5, "client", "anna")];
  for (const again of [second, third]) ask(again, 1);
  serve(10);
  serve(1);
  serve(11);
  assert.deepEqual(found, []);
});

Deno.test("`fair` sees the turn that an older connection has with what a newer one has answered", () => {
  const { found, open, ask, serve, answer } = createScene();
  const [first, other] = [open(2, "client", "anna"), open(3, "client", "bert")];
  for (const n of [1, 2]) ask(first, n);
  for (const n of [10, 11, 12]) ask(other, n);
  const second = open(4, "client", "anna");
  ask(second, 1);
  serve(1);
  answer(second, 1);
  serve(10);
  serve(1);
  serve(11);
  assert.deepEqual(found, []);
  serve(12);
  assert.match(found[0], /^bert had more than 1 turns at resize\/quick while anna waited/);
});
