/**
 * A request goes only to a replica that has shown itself to this manager, on this connection, as ready and with this
 * endpoint; and it runs in a replica of the set it is for.
 */
import { frameB, frameOp, Op } from "../../../lib/protocol/frame.ts";
import type { ReplicaReport } from "../../../lib/protocol/messages.ts";
import { endpointIn } from "../modules.ts";
import type { Checker, Connection } from "../observer.ts";
import type { World } from "../world.ts";

export function shown(world: World): Checker {
  const name = "shown before used";
  const reports = new Map<
    Connection,
    { reports: readonly ReplicaReport[]; before: readonly ReplicaReport[]; atMs: number }
  >();
  const hasShown = (report: readonly ReplicaReport[], handle: number, endpoint: string) =>
    report.some(({ replicaSet, state, endpoints, ...one }) =>
      one.handle === handle && state === "ready" &&
      endpoints.some((shown) => `${replicaSet}/${shown.name}` === endpoint)
    );
  return {
    name,
    connectionClosed: (connection) => void reports.delete(connection),
    managerEnded: () => reports.clear(),
    managerGotMessage(connection, message) {
      const isHello = message.type === "hello" && message.role === "agent";
      if (!isHello && message.type !== "state") return;
      const atMs = world.timeline.nowMs;
      const last = reports.get(connection);
      // Of several reports of one moment, as over a slow line, none is followed before the last.
      const before = (last?.atMs === atMs ? last.before : last?.reports) ?? [];
      reports.set(connection, { reports: message.replicas, before, atMs });
    },
    managerSent(connection, bytes, at) {
      if (connection.kind !== "agent" || frameOp(bytes, at) !== Op.request) return;
      const handle = frameB(bytes, at) >>> 8;
      const endpoint = endpointIn(bytes, at);
      const known = reports.get(connection);
      if (known && hasShown(known.reports, handle, endpoint)) return;
      // Routes follow a report once everything of its moment has been read.
      if (known && known.atMs === world.timeline.nowMs && hasShown(known.before, handle, endpoint)) return;
      world.fail(
        name,
        `${connection.name} was sent ${endpoint} for replica ${handle}, which it has not shown as ready`,
      );
    },
    runStarted({ agent, replicaSet }, { n, endpoint }) {
      if (endpoint.startsWith(`${replicaSet}/`)) return;
      world.fail(name, `operation ${n}, ${endpoint}, runs in a replica of ${replicaSet} on ${agent}`);
    },
  };
}
