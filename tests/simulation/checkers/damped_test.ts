/** What `damped` finds fault with, and which losses it does not count. */
import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../../lib/protocol/frame.ts";
import type { Connection } from "../observer.ts";
import type { World } from "../world.ts";
import { damped } from "./damped.ts";

/** A checker with two agents that serve one endpoint; the attic's losses are told to it, the barn's slots are free. */
function createScene() {
  const found: string[] = [];
  const timeline = { nowMs: 10_000 };
  const attic = { draining: false, damped: false };
  const replicas = ["attic", "barn"].map((agent, handle) => ({
    agent,
    handle,
    replicaSet: "resize",
    revision: 1,
    available: true,
    outstanding: 0,
    slots: 1,
  }));
  const core = {
    agents: new Map([["attic", attic], ["barn", { draining: false, damped: false }]]),
    controller: { routes: { endpoints: new Map([["resize/quick", { replicas }]]) } },
    dispatcher: { snapshot: () => ({ replicas }) },
  };
  const fail = (_: string, message: string) => found.push(message);
  const checker = damped({ timeline, manager: { core }, fail } as unknown as World);
  const connection: Connection = {
    id: 1,
    kind: "agent",
    name: "attic",
    openedMs: 0,
    isJammed: () => false,
    isClosing: () => false,
  };
  const request = encodeFrame({ op: Op.request, id: 1, name: "resize/quick", b: 0 });
  return {
    found,
    attic,
    /** Each a quarter of a second after the one before; the manager hears something all the time. */
    lose: (times: number) => {
      for (let time = 0; time < times; time++) {
        timeline.nowMs += 250;
        checker.eventRecorded!({ kind: "agent_lost", subject: "attic", message: "" });
      }
    },
    /** Long enough that a silence before it is forgiven. */
    listen: () => {
      for (const untilMs = timeline.nowMs + 5000; timeline.nowMs < untilMs; timeline.nowMs += 250) {
        checker.managerGot!(connection, request, 0);
      }
    },
    send: () => checker.managerSent!(connection, request, 0),
  };
}

Deno.test("`damped` finds a request to an agent that was lost four times, while another has a free slot", () => {
  const { found, listen, lose, send } = createScene();
  listen();
  lose(3);
  send();
  assert.deepEqual(found, []);
  lose(1);
  send();
  assert.match(found[0], /^attic was lost 4 times and was sent resize\/quick, barn had free slots/);
});

Deno.test("`damped` counts no loss of an agent while it is drained", () => {
  const { found, attic, listen, lose, send } = createScene();
  listen();
  attic.draining = true;
  lose(3);
  attic.draining = false;
  lose(3);
  send();
  assert.deepEqual(found, []);
  lose(1);
  send();
  assert.equal(found.length, 1);
});
