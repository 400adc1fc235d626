/**
 * No slot stays free while something waits that could use it: what waits is taken up as soon as there is room, and who
 * does not read what it gets keeps nobody else waiting.
 */
import { frameId, frameOp, Op } from "../../../lib/protocol/frame.ts";
import { endpointIn } from "../modules.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

export function busy(world: World): Checker {
  const name = "no idle slot";
  /** Sets that had both at the last tick, and got nothing sent to an agent since. */
  const idle = new Set<string>();
  /** Sets by connection and id, of what has no answer yet. */
  const asked = new Map<Connection, Map<number, string>>();

  /** Nothing of it is run while it takes no answers. */
  function heldOf(set: string): number {
    let held = 0;
    for (const [connection, own] of asked) {
      if (own.size === 0 || !connection.isJammed()) continue;
      for (const other of own.values()) if (other === set) held++;
    }
    return held;
  }

  return {
    name,
    connectionOpened: (connection) => void asked.set(connection, new Map()),
    connectionClosed: (connection) => void asked.delete(connection),
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request) return;
      asked.get(connection)?.set(frameId(bytes, at), endpointIn(bytes, at).split("/")[0]);
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (op === Op.request) idle.delete(endpointIn(bytes, at).split("/")[0]);
      else if (op === Op.reply || op === Op.error) asked.get(connection)?.delete(frameId(bytes, at));
    },
    managerEnded() {
      idle.clear();
      asked.clear();
    },
    tick() {
      if (!world.manager.isUp) return;
      const { sets, replicas } = world.manager.core.dispatcher.snapshot();
      for (const [set, { queued }] of sets) {
        const free = replicas.find((one) => one.replicaSet === set && one.outstanding < one.slots);
        const hasBoth = queued > 0 && free !== undefined && queued > heldOf(set);
        if (hasBoth && idle.has(set)) {
          world.fail(
            name,
            `${queued} requests of ${set} wait while ${free.agent} has ${
              free.slots - free.outstanding
            } free slots`,
          );
        }
        if (hasBoth) idle.add(set);
        else idle.delete(set);
      }
    },
  };
}
