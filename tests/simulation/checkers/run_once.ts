/** What may not be run again is run once at most: by any agent, in any attempt, after any loss. */
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

export function runOnce(world: World): Checker {
  const name = "run once";
  return {
    name,
    runStarted(_run, { n, by, endpoint, idempotent, runs }) {
      if (idempotent || runs.length < 2) return;
      const where = runs.map(({ agent, attempt }) => `${agent} (attempt ${attempt})`).join(", then on ");
      world.fail(name, `operation ${n} of ${by}, ${endpoint}, may run once and ran on ${where}`);
    },
  };
}
