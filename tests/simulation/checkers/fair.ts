/**
 * Fair between clients: while one waits for an endpoint, no other is given more than a few turns before it, however
 * much it asks for.
 */
import { limits } from "../../../lib/limits.ts";
import { frameId, frameName, frameOp, Op } from "../../../lib/protocol/frame.ts";
import { operationIn } from "../modules.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

/**
 * In deficit round robin each flow that waits has one turn per round (Shreedhar and Varghese, "Efficient fair queuing
 * using deficit round robin", 1996), and a turn is one request where all cost one quantum: so between two turns of one
 * that waits, and from its coming to its first, each other has one. What is run again goes to the front and takes its
 * client's turn, but is no second one for the others.
 */
const turnsMax = 1;

interface Asked {
  connection: Connection;
  endpoint: string;
  /** Not sent to an agent yet. */
  waits: boolean;
  /** Counted in its line. */
  joined: boolean;
  /** On which it was asked before. While that is open, it can't be told whose turn it is. */
  before: Connection | undefined;
}

/** One connection's requests that wait for one endpoint. */
interface Line {
  waiting: number;
  /** The turn that was the last when it began to wait, or its own last one. */
  since: number;
}

export function fair(world: World): Checker {
  const name = "fair between clients";
  /** Without an answer, by operation. */
  const asked = new Map<number, Asked>();
  /** Operations by connection and id. */
  const ids = new Map<Connection, Map<number, number>>();
  /** Who waits for an endpoint, the one with the oldest `since` first. */
  const lines = new Map<string, Map<Connection, Line>>();
  /** The last turns of a connection, by endpoint; one more of them than one may have. */
  const turns = new Map<Connection, Map<string, number[]>>();
  let turn = 0;
  /** The manager takes the requests of a packet one by one: they wait once it has taken them all. */
  let arriving: Asked[] = [];
  let arrivedWith = 0;

  function settleArrivals(): void {
    if (arrivedWith === world.timeline.count) return;
    for (const one of arriving.splice(0)) if (one.waits) join(one);
    arrivedWith = world.timeline.count;
  }

  function join(one: Asked): void {
    const { connection, endpoint } = one;
    one.joined = true;
    let line = lines.get(endpoint);
    if (!line) lines.set(endpoint, line = new Map());
    const own = line.get(connection);
    if (own) own.waiting++;
    else line.set(connection, { waiting: 1, since: turn });
  }

  function leave(one: Asked): void {
    if (!one.waits) return;
    one.waits = false;
    if (!one.joined) return;
    const line = lines.get(one.endpoint);
    const own = line?.get(one.connection);
    if (own && --own.waiting === 0) line!.delete(one.connection);
  }

  /** It has had a turn at the set, or takes none: what it waits for there it waits for from now on. */
  function restart(connection: Connection, set: string): void {
    for (const [endpoint, line] of lines) {
      const own = line.get(connection);
      if (!own || !endpoint.startsWith(`${set}/`)) continue;
      own.since = turn;
      line.delete(connection);
      line.set(connection, own);
    }
  }

  function noteTurn(connection: Connection, endpoint: string): void {
    let own = turns.get(connection);
    if (!own) turns.set(connection, own = new Map());
    const last = own.get(endpoint) ?? [];
    own.set(endpoint, last);
    last.push(turn);
    if (last.length <= turnsMax) return;
    if (last.length > turnsMax + 1) last.shift();
    const set = endpoint.split("/")[0];
    for (const [other, { since }] of [...lines.get(endpoint) ?? []]) {
      if (other === connection) continue;
      if (since >= last[0]) return;
      // Who does not read what it gets is passed over.
      if (other.bufferedBytes() > limits.sendBufferBytesHigh) restart(other, set);
      else {
        world.fail(
          name,
          `${connection.name} had more than ${turnsMax} turns at ${endpoint} while ${other.name} waited for it`,
        );
      }
    }
  }

  function serve(one: Asked): void {
    settleArrivals();
    turn++;
    // What is run again has had its turn before, but takes another.
    const counts = one.waits && !(one.before && ids.has(one.before));
    leave(one);
    if (counts) noteTurn(one.connection, one.endpoint);
    restart(one.connection, one.endpoint.split("/")[0]);
  }

  function forget(connection: Connection): void {
    for (const n of ids.get(connection)?.values() ?? []) {
      const one = asked.get(n);
      if (one?.connection !== connection) continue;
      one.waits = false;
      asked.delete(n);
    }
    ids.delete(connection);
    turns.delete(connection);
    for (const line of lines.values()) line.delete(connection);
  }

  return {
    name,
    connectionOpened(connection) {
      if (connection.kind === "client") ids.set(connection, new Map());
    },
    connectionClosed: forget,
    managerEnded() {
      for (const map of [asked, ids, lines, turns]) map.clear();
      arriving = [];
    },
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request || connection.kind !== "client") return;
      const n = operationIn(bytes, at);
      const before = asked.get(n);
      // Sent again while the manager still believes in the connection before.
      if (before) leave(before);
      const endpoint = frameName(bytes, at);
      const one = { connection, endpoint, waits: true, joined: false, before: before?.connection };
      asked.set(n, one);
      ids.get(connection)?.set(frameId(bytes, at), n);
      settleArrivals();
      arriving.push(one);
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (connection.kind === "agent") {
        const one = op === Op.request ? asked.get(operationIn(bytes, at)) : undefined;
        if (one) serve(one);
      } else if (op === Op.reply || op === Op.error) {
        const own = ids.get(connection);
        const n = own?.get(frameId(bytes, at));
        const one = n === undefined ? undefined : asked.get(n);
        if (one?.connection !== connection) return;
        own!.delete(frameId(bytes, at));
        leave(one);
        asked.delete(n!);
      }
    },
  };
}
