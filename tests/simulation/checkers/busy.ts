/** No slot stays free while something waits that could use it: what waits is taken up as soon as there is room. */
import { frameName, frameOp, Op } from "../../../lib/protocol/frame.ts";
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

export function busy(world: World): Checker {
  const name = "no idle slot";
  /** Sets that had both at the last tick, and got nothing sent to an agent since. */
  const idle = new Set<string>();
  return {
    name,
    managerSent({ kind }, bytes, at) {
      if (kind === "agent" && frameOp(bytes, at) === Op.request) {
        idle.delete(frameName(bytes, at).split("/")[0]);
      }
    },
    managerEnded: () => idle.clear(),
    tick() {
      if (!world.manager.isUp) return;
      const { sets, replicas } = world.manager.core.dispatcher.snapshot();
      for (const [set, { queued }] of sets) {
        const free = replicas.find((one) => one.replicaSet === set && one.outstanding < one.slots);
        const hasBoth = queued > 0 && free !== undefined;
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
