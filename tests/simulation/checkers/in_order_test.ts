/** What `inOrder` finds fault with, and what it can't tell. */
import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../../lib/protocol/frame.ts";
import type { Connection } from "../observer.ts";
import type { World } from "../world.ts";
import { inOrder } from "./in_order.ts";

/** A checker with one agent. Operations are sent to it under the numbers that the manager gave their requests. */
function createScene() {
  const found: string[] = [];
  const checker = inOrder({ fail: (_: string, message: string) => found.push(message) } as unknown as World);
  const open = (id: number, kind: Connection["kind"], name: string): Connection => {
    const connection = { id, kind, name, openedMs: 0, isJammed: () => false, isClosing: () => false };
    checker.connectionOpened!(connection);
    return connection;
  };
  const request = (n: number, number = 0) => {
    const body = new TextEncoder().encode(`{"n":${n}}`);
    const requestId = `00000001${number.toString(16).padStart(8, "0")}`;
    return encodeFrame({ op: Op.request, id: n, name: "resize/quick", body, requestId });
  };
  const agent = open(1, "agent", "attic");
  return {
    found,
    open,
    ask: (connection: Connection, n: number) => checker.managerGot!(connection, request(n), 0),
    send: (n: number, number: number) => checker.managerSent!(agent, request(n, number), 0),
    answer: (connection: Connection, n: number) =>
      checker.managerSent!(connection, encodeFrame({ op: Op.reply, id: n }), 0),
  };
}

Deno.test("`inOrder` finds what is sent after what was asked for later, unless it was sent before", () => {
  const { found, open, ask, send } = createScene();
  const client = open(2, "client", "anna");
  for (const n of [1, 2, 3]) ask(client, n);
  send(1, 11);
  send(3, 13);
  send(1, 11);
  assert.deepEqual(found, []);
  send(2, 12);
  assert.match(found[0], /^anna asked for resize\/quick with operation 2, then with 3, which went first/);
});

Deno.test("`inOrder` knows what is run again though an older connection had asked for it, too", () => {
  const { found, open, ask, send, answer } = createScene();
  const [first, second] = [open(2, "client", "anna"), open(3, "client", "anna")];
  ask(first, 1);
  for (const n of [1, 2]) ask(second, n);
  send(1, 12);
  send(2, 13);
  send(1, 11);
  answer(first, 1);
  // The agent that the newer connection's was sent to is lost.
  send(1, 12);
  assert.deepEqual(found, []);
});
