/**
 * Exactly one outcome per request. At the manager: each request frame of a connection is answered by one reply or
 * error, in time, and nothing is answered that was not asked. At the client: each request that its asker waits for
 * ends by its deadline.
 */
import { frameA, frameId, frameOp, Op } from "../../../lib/protocol/frame.ts";
import type { SimulatedClient } from "../client.ts";
import type { Checker, Connection, Operation } from "../observer.ts";
import type { World } from "../world.ts";

/** The client gives the manager's own answer 250 ms; lines and timers take some. */
const clientGraceMs = 1500;
const managerGraceMs = 500;
/** No endpoint of a simulated set allows more by itself. */
const timeoutMsMax = 5000;

export function oneOutcome(world: World): Checker {
  const name = "one outcome";
  /** By connection and id: until when it must be answered. */
  const asked = new Map<Connection, Map<number, number>>();
  const open = new Set<Operation>();
  let managerRanMs = 0;
  let clients: Map<string, SimulatedClient> | null = null;
  return {
    name,
    operationStarted: (operation) => void open.add(operation),
    operationEnded: (operation) => void open.delete(operation),
    connectionOpened: (connection) => void asked.set(connection, new Map()),
    connectionClosed: (connection) => void asked.delete(connection),
    managerEnded: () => asked.clear(),
    managerGot(connection, bytes, at) {
      if (frameOp(bytes, at) !== Op.request) return;
      const dueMs = world.timeline.nowMs + (frameA(bytes, at) || timeoutMsMax);
      asked.get(connection)?.set(frameId(bytes, at), dueMs);
    },
    managerSent(connection, bytes, at) {
      const op = frameOp(bytes, at);
      // What goes to an agent with these operations answers its module's requests, or its download.
      if (op !== Op.reply && op !== Op.error) return;
      const id = frameId(bytes, at);
      if (asked.get(connection)?.delete(id) || connection.kind === "agent") return;
      world.fail(name, `the manager answered request ${id} of ${connection.name} that waited for nothing`);
    },
    tick() {
      const { nowMs } = world.timeline;
      if (world.manager.isUp && managerRanMs === 0) managerRanMs = nowMs;
      else if (!world.manager.isUp) managerRanMs = 0;
      if (managerRanMs > 0 && nowMs - managerRanMs > 1000) {
        for (const [connection, ids] of asked) {
          if (connection.isClosing()) continue;
          for (const [id, dueMs] of ids) {
            if (dueMs + managerGraceMs > nowMs) continue;
            const late = Math.round(nowMs - dueMs);
            world.fail(name, `request ${id} of ${connection.name} is ${late} ms late at the manager`);
          }
        }
      }
      for (const operation of open) if (operation.orphaned) open.delete(operation);
      clients ??= new Map(world.clients.map((client) => [client.name, client]));
      for (const operation of open) {
        const client = clients.get(operation.by);
        if (client?.process?.state !== "running") continue;
        const dueMs = Math.max(operation.startedMs + operation.timeoutMs, client.wokenMs);
        if (dueMs + clientGraceMs > nowMs) continue;
        world.fail(name, `operation ${operation.n} of ${operation.by} has no outcome after its deadline`);
      }
    },
    converged() {
      const silent = [...open].filter((operation) => !operation.orphaned);
      if (silent.length > 0) {
        world.fail(
          name,
          `operations without an outcome: ${silent.map(({ n }) => n).join(", ")}`,
        );
      }
      for (const [{ name: peer }, ids] of asked) {
        if (ids.size > 0) {
          world.fail(name, `${ids.size} requests of ${peer} were never answered by the manager`);
        }
      }
    },
  };
}
