/**
 * First in, first out for each client: what one asks of one endpoint is first sent to an agent in the order in which it
 * was asked for. So it is on every connection, also on the first one after a restart of the manager: what had waited
 * and is sent again comes before what is asked for later, in the old order.
 */
import { limits } from "../../../lib/limits.ts";
import { frameId, frameLength, frameOp, frameRequestLow, Op } from "../../../lib/protocol/frame.ts";
import { endpointIn, operationIn } from "../modules.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

/** What the manager has of one client's connection. */
interface Asker {
  connection: Connection;
  /** Operations by the connection's ids, those without an answer. */
  ids: Map<number, number>;
  /** The endpoints of those operations. */
  asked: Map<number, string>;
  /** The last operation that was sent to an agent, by endpoint. */
  last: Map<string, number>;
}

export function inOrder(world: World): Checker {
  const name = "in order";
  const askers = new Map<Connection, Asker>();
  /** Who waits for an operation: two while the manager still believes in the connection before. */
  const waiting = new Map<number, Set<Asker>>();
  /** Requests that were sent to an agent, by the manager's numbers: what is run again goes to the front. */
  const sent = new Set<number>();

  function serve(n: number, number: number): void {
    if (sent.has(number)) return;
    sent.add(number);
    const [asker, other] = waiting.get(n) ?? [];
    // Of two it can't be told whose it is.
    if (!asker || other) return;
    const endpoint = asker.asked.get(n)!;
    const before = asker.last.get(endpoint) ?? -1;
    if (n < before) {
      const { name: client, id } = asker.connection;
      world.fail(
        name,
        `${client} asked for ${endpoint} with operation ${n}, then with ${before}, which went first (connection ${id})`,
      );
    }
    asker.last.set(endpoint, Math.max(n, before));
  }

  function forget(asker: Asker, n: number): void {
    asker.asked.delete(n);
    const all = waiting.get(n);
    all?.delete(asker);
    if (all?.size === 0) waiting.delete(n);
  }

  return {
    name,
    connectionOpened(connection) {
      if (connection.kind !== "client") return;
      askers.set(connection, { connection, ids: new Map(), asked: new Map(), last: new Map() });
    },
    connectionClosed(connection) {
      const asker = askers.get(connection);
      for (const n of asker?.asked.keys() ?? []) forget(asker!, n);
      askers.delete(connection);
    },
    managerEnded() {
      askers.clear();
      waiting.clear();
      sent.clear();
    },
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request) return;
      const asker = askers.get(connection);
      // What travels in chunks is overtaken by what doesn't.
      if (!asker || frameLength(bytes, at) > limits.chunkBytesMax) return;
      const n = operationIn(bytes, at);
      asker.ids.set(frameId(bytes, at), n);
      asker.asked.set(n, endpointIn(bytes, at));
      const others = waiting.get(n);
      if (others) others.add(asker);
      else waiting.set(n, new Set([asker]));
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (connection.kind === "agent") {
        if (op === Op.request) serve(operationIn(bytes, at), frameRequestLow(bytes, at));
        return;
      }
      if (op !== Op.reply && op !== Op.error) return;
      const asker = askers.get(connection);
      const n = asker?.ids.get(frameId(bytes, at));
      if (n === undefined) return;
      asker!.ids.delete(frameId(bytes, at));
      forget(asker!, n);
    },
  };
}
