/**
 * No slot stays free while something waits that could use it: what waits is taken up as soon as there is room, and who
 * does not read what it gets keeps nobody else waiting. For what modules ask for, a lent slot is free, too.
 */
import { frameId, frameOp, Op } from "../../../lib/protocol/frame.ts";
import { endpointIn, operationIn } from "../modules.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

/** A request without an answer: its operation, and the set that it is for. */
interface Asked {
  n: number;
  set: string;
}

export function busy(world: World): Checker {
  const name = "no idle slot";
  /** Sets with a request that waits beside a slot for it at the last tick, and got nothing sent to an agent since. */
  const idle = new Set<string>();
  /** The same, of requests that modules have made, and of lent slots. */
  const idleLent = new Set<string>();
  const asked = new Map<Connection, Map<number, Asked>>();
  /** Operations that an agent has been sent. */
  const sent = new Set<number>();

  /** Nothing of it is run while it takes no answers. */
  function heldOf(set: string): number {
    let held = 0;
    for (const [connection, own] of asked) {
      if (own.size === 0 || !connection.isJammed()) continue;
      for (const other of own.values()) if (other.set === set) held++;
    }
    return held;
  }

  function nestedThatWait(set: string): number {
    let count = 0;
    for (const [connection, own] of asked) {
      if (connection.kind !== "agent" || connection.isJammed()) continue;
      for (const one of own.values()) if (one.set === set && !sent.has(one.n)) count++;
    }
    return count;
  }

  /** Fails when what waited at the last tick has waited since beside a slot for it. */
  function look(seen: Set<string>, set: string, hasBoth: boolean, words: () => string): void {
    if (hasBoth && seen.has(set)) world.fail(name, words());
    if (hasBoth) seen.add(set);
    else seen.delete(set);
  }

  return {
    name,
    connectionOpened: (connection) => void asked.set(connection, new Map()),
    connectionClosed: (connection) => void asked.delete(connection),
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request) return;
      const set = endpointIn(bytes, at).split("/")[0];
      asked.get(connection)?.set(frameId(bytes, at), { n: operationIn(bytes, at), set });
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (op === Op.request) {
        const set = endpointIn(bytes, at).split("/")[0];
        idle.delete(set);
        idleLent.delete(set);
        sent.add(operationIn(bytes, at));
      } else if (op === Op.reply || op === Op.error) {
        asked.get(connection)?.delete(frameId(bytes, at));
      }
    },
    managerEnded() {
      for (const all of [idle, idleLent, asked, sent]) all.clear();
    },
    tick() {
      if (!world.manager.isUp) return;
      const { sets, replicas } = world.manager.core.dispatcher.snapshot();
      for (const [set, { queued }] of sets) {
        const own = replicas.filter(({ replicaSet }) => replicaSet === set);
        const free = own.find(({ outstanding, slots }) => outstanding < slots);
        look(idle, set, queued > 0 && free !== undefined && queued > heldOf(set), () => {
          const slots = free!.slots - free!.outstanding;
          return `${queued} requests of ${set} wait while ${free!.agent} has ${slots} free slots`;
        });
        const lent = own.find((one) => one.available && one.outstanding - one.lent < one.slots);
        const waiting = queued > 0 && lent !== undefined ? nestedThatWait(set) : 0;
        look(idleLent, set, waiting > 0, () => {
          return `${waiting} requests of modules to ${set} wait while ${lent!.agent} has a slot lent or free`;
        });
      }
    },
  };
}
