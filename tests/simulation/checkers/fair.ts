/**
 * Fair between clients: while one waits for an endpoint, no other is given more than one turn before it, however much
 * it asks for. Only what is sent to an agent is a turn: whose request is refused in the queue still has its own to come.
 */
import { frameId, frameOp, Op } from "../../../lib/protocol/frame.ts";
import { endpointIn, operationIn } from "../modules.ts";
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
  n: number;
  connection: Connection;
  endpoint: string;
  /** Not sent to an agent yet. */
  waits: boolean;
  /** Counted in its line. */
  joined: boolean;
  /** On which it was asked before. While one of them is open, it can't be told whose turn it is. */
  before: readonly Connection[];
  /** Answered, or given up, on its own connection. */
  ended: boolean;
}

/** One connection's requests that wait for one endpoint. */
interface Line {
  waiting: number;
  /** The turn that was the last when it began to wait, or its own last one. */
  since: number;
}

/** Who waits where since which turn, and whose the last turns were. */
class Turns {
  /** Who waits for an endpoint, the one with the oldest `since` first. */
  readonly #lines = new Map<string, Map<Connection, Line>>();
  /** The last turns of a connection, by endpoint; one more of them than one may have. */
  readonly #taken = new Map<Connection, Map<string, number[]>>();
  #last = 0;
  /** The manager takes the requests of a packet one by one: they wait once it has taken them all. */
  #arriving: Asked[] = [];
  #arrivedWith = 0;

  /** `event`: the number of the timeline's event that is under way. */
  arrive(one: Asked, event: number): void {
    this.#settleArrivals(event);
    this.#arriving.push(one);
  }

  leave(one: Asked): void {
    const { connection, endpoint, waits, joined } = one;
    one.waits = false;
    if (!waits || !joined) return;
    const line = this.#lines.get(endpoint);
    const own = line?.get(connection);
    if (own && --own.waiting === 0) line!.delete(connection);
  }

  /** It is served. Returns those who have waited for longer than they may by that; nobody unless it `counts`. */
  take(one: Asked, counts: boolean, event: number): Connection[] {
    this.#settleArrivals(event);
    this.leave(one);
    const { connection, endpoint } = one;
    this.#last++;
    const waited = counts ? this.#waitedTooLong(connection, endpoint) : [];
    this.restart(connection, endpoint);
    return waited;
  }

  forget(connection: Connection): void {
    this.#taken.delete(connection);
    for (const line of this.#lines.values()) line.delete(connection);
  }

  clear(): void {
    this.#lines.clear();
    this.#taken.clear();
    this.#arriving = [];
  }

  #settleArrivals(event: number): void {
    if (this.#arrivedWith === event) return;
    for (const one of this.#arriving.splice(0)) if (one.waits) this.#join(one);
    this.#arrivedWith = event;
  }

  #join(one: Asked): void {
    const { connection, endpoint } = one;
    one.joined = true;
    let line = this.#lines.get(endpoint);
    if (!line) this.#lines.set(endpoint, line = new Map());
    const own = line.get(connection);
    if (own) own.waiting++;
    else line.set(connection, { waiting: 1, since: this.#last });
  }

  #waitedTooLong(connection: Connection, endpoint: string): Connection[] {
    let own = this.#taken.get(connection);
    if (!own) this.#taken.set(connection, own = new Map());
    const last = own.get(endpoint) ?? [];
    own.set(endpoint, last);
    last.push(this.#last);
    if (last.length <= turnsMax) return [];
    if (last.length > turnsMax + 1) last.shift();
    const waited: Connection[] = [];
    for (const [other, { since }] of [...this.#lines.get(endpoint) ?? []]) {
      if (other === connection) continue;
      if (since >= last[0]) break;
      // Who does not read what it gets is passed over.
      if (other.isJammed()) this.restart(other, endpoint);
      else waited.push(other);
    }
    return waited;
  }

  /** It has had a turn at the endpoint's set, or takes none: what it waits for there it waits for from now on. */
  restart(connection: Connection, endpoint: string): void {
    const [set] = endpoint.split("/");
    for (const [name, line] of this.#lines) {
      const own = line.get(connection);
      if (!own || !name.startsWith(`${set}/`)) continue;
      own.since = this.#last;
      line.delete(connection);
      line.set(connection, own);
    }
  }
}

export function fair(world: World): Checker {
  const name = "fair between clients";
  /** Without an answer, or waiting on an older connection still, by operation; and by connection and id. */
  const asked = new Map<number, Asked>();
  const ids = new Map<Connection, Map<number, Asked>>();
  const turns = new Turns();

  function olderOf(one: Asked): Connection[] {
    return one.before.filter((connection) => ids.has(connection));
  }

  function serve(one: Asked): void {
    const others = olderOf(one);
    // What is run again has had its turn before, but takes another. What has ended takes one of an older connection.
    const counts = one.waits && others.length === 0;
    const waited = one.ended ? [] : turns.take(one, counts, world.timeline.count);
    // It may be any of theirs, so none of them has waited since before it.
    for (const connection of others) turns.restart(connection, one.endpoint);
    for (const other of waited) {
      world.fail(
        name,
        `${one.connection.name} had more than ${turnsMax} turns at ${one.endpoint} while ${other.name} waited for it`,
      );
    }
  }

  /** It is answered, or nobody waits for its answer any more. */
  function end(one: Asked): void {
    turns.leave(one);
    one.ended = true;
    if (asked.get(one.n) === one && olderOf(one).length === 0) asked.delete(one.n);
  }

  return {
    name,
    connectionOpened(connection) {
      if (connection.kind === "client") ids.set(connection, new Map());
    },
    connectionClosed(connection) {
      for (const one of ids.get(connection)?.values() ?? []) end(one);
      ids.delete(connection);
      turns.forget(connection);
    },
    managerEnded() {
      for (const map of [asked, ids, turns]) map.clear();
    },
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request || connection.kind !== "client") return;
      const n = operationIn(bytes, at);
      const before = asked.get(n);
      // Sent again while the manager still believes in the connection before.
      if (before) turns.leave(before);
      const endpoint = endpointIn(bytes, at);
      const connections = before ? [...before.before, before.connection] : [];
      const one = { n, connection, endpoint, waits: true, joined: false, before: connections, ended: false };
      asked.set(n, one);
      ids.get(connection)?.set(frameId(bytes, at), one);
      turns.arrive(one, world.timeline.count);
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      if (connection.kind === "agent") {
        const one = op === Op.request ? asked.get(operationIn(bytes, at)) : undefined;
        if (one) serve(one);
      } else if (op === Op.reply || op === Op.error) {
        const own = ids.get(connection);
        const one = own?.get(frameId(bytes, at));
        if (!one) return;
        own!.delete(frameId(bytes, at));
        end(one);
      }
    },
  };
}
