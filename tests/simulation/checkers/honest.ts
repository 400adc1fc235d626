/** What an outcome says about having run is true: a reply comes from a run, and "no" means that there was and is none. */
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

export function honest(world: World): Checker {
  const name = "honest outcomes";
  return {
    name,
    operationEnded({ n, by, outcome, mayHaveRun, runs }) {
      if (outcome!.startsWith("no SqwishError")) world.fail(name, `operation ${n} of ${by} got ${outcome}`);
      if (runs.length === 0 && (outcome === "ok" || outcome === "module_failed")) {
        world.fail(name, `operation ${n} of ${by} got ${outcome} and never ran`);
      }
      if (runs.length > 0 && outcome !== "ok" && mayHaveRun === "no") {
        world.fail(
          name,
          `operation ${n} of ${by} got ${outcome} as if it had not run, but it did on ${runs[0].agent}`,
        );
      }
    },
    runStarted({ agent }, { n, by, outcome, mayHaveRun }) {
      if (outcome === null || outcome === "ok" || outcome === "left" || mayHaveRun !== "no") return;
      world.fail(
        name,
        `operation ${n} of ${by} runs on ${agent} after it got ${outcome}, which said that it did not`,
      );
    },
  };
}
