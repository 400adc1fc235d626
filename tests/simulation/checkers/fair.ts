/**
 * Fair between clients: while one waits for an endpoint, no other is given more than a few turns before it, however
 * much it asks for. Deficit round robin with equal shares gives each client a turn per round.
 */
import { frameBodyAt, frameId, frameName, frameOp, Op } from "../../../lib/protocol/frame.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

/** The rest of the round in which it began to wait, the one in which it is served, and what agents gave back between. */
const turnsMax = 6;

interface Waiting {
  connection: Connection;
  set: string;
  endpoint: string;
}

export function fair(world: World): Checker {
  const name = "fair between clients";
  /** Asked and not sent to an agent yet, by operation. */
  const waiting = new Map<number, Waiting>();
  /** Operations by connection and id. */
  const asked = new Map<Connection, Map<number, number>>();
  /** How many of its requests wait, by connection and endpoint. */
  const counts = new Map<Connection, Map<string, number>>();
  /** Turns of one connection since another began to wait or had its own turn, by both and the set. */
  const turns = new Map<string, number>();
  const key = (set: string, waits: Connection, served: Connection) => `${set} ${waits.id} ${served.id}`;

  function count({ connection, endpoint }: Waiting, difference: 1 | -1): number {
    const own = counts.get(connection);
    const next = (own?.get(endpoint) ?? 0) + difference;
    if (next > 0) own?.set(endpoint, next);
    else own?.delete(endpoint);
    return next;
  }

  function forgetTurns(set: string, waits: Connection): void {
    for (const served of counts.keys()) turns.delete(key(set, waits, served));
  }

  function leave(n: number): Waiting | undefined {
    const left = waiting.get(n);
    if (left === undefined) return undefined;
    waiting.delete(n);
    count(left, -1);
    return left;
  }

  function serve({ connection, set, endpoint }: Waiting): void {
    for (const [other, own] of counts) {
      if (other === connection || !own.has(endpoint)) continue;
      const at = key(set, other, connection);
      const taken = (turns.get(at) ?? 0) + 1;
      turns.set(at, taken);
      if (taken <= turnsMax) continue;
      world.fail(
        name,
        `${connection.name} had ${taken} turns at ${endpoint} while ${other.name} waited for it`,
      );
    }
    forgetTurns(set, connection);
  }

  return {
    name,
    connectionOpened(connection) {
      if (connection.kind !== "client") return;
      asked.set(connection, new Map());
      counts.set(connection, new Map());
    },
    connectionClosed(connection) {
      for (const n of asked.get(connection)?.values() ?? []) waiting.delete(n);
      asked.delete(connection);
      counts.delete(connection);
    },
    managerEnded() {
      for (const map of [waiting, asked, counts, turns]) map.clear();
    },
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request || connection.kind !== "client") return;
      const n = operationIn(bytes, at);
      const endpoint = frameName(bytes, at);
      const one: Waiting = { connection, endpoint, set: endpoint.split("/")[0] };
      waiting.set(n, one);
      asked.get(connection)?.set(frameId(bytes, at), n);
      if (count(one, 1) === 1) forgetTurns(one.set, connection);
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (connection.kind === "agent") {
        if (op !== Op.request) return;
        const served = leave(operationIn(bytes, at));
        if (served) serve(served);
      } else if (op === Op.reply || op === Op.error) {
        const own = asked.get(connection);
        const n = own?.get(frameId(bytes, at));
        if (n === undefined) return;
        own!.delete(frameId(bytes, at));
        leave(n);
      }
    },
  };
}

/** The number in a request's input, which begins with `{"n":`. */
function operationIn(bytes: Uint8Array, at: number): number {
  let n = 0;
  for (let i = frameBodyAt(bytes, at) + 5; bytes[i] >= 48 && bytes[i] <= 57; i++) n = n * 10 + bytes[i] - 48;
  return n;
}
