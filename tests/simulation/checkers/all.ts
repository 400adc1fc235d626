/** Every checker of a run. */
import type { MakeChecker } from "../observer.ts";
import { asleep } from "./asleep.ts";
import { bounded } from "./bounded.ts";
import { busy } from "./busy.ts";
import { converges } from "./converges.ts";
import { damped } from "./damped.ts";
import { enoughReady, withinSurge } from "./enough_ready.ts";
import { fair } from "./fair.ts";
import { honest } from "./honest.ts";
import { inOrder } from "./in_order.ts";
import { oneOutcome } from "./one_outcome.ts";
import { rolledBack } from "./rolled_back.ts";
import { rolloutsEnd } from "./rollouts_end.ts";
import { runOnce } from "./run_once.ts";
import { shown } from "./shown.ts";
import { told } from "./told.ts";
import type { World } from "../world.ts";

export const allCheckers: readonly MakeChecker[] = [
  oneOutcome,
  runOnce,
  honest,
  shown,
  fair,
  inOrder,
  busy,
  damped,
  asleep,
  told,
  bounded,
  enoughReady,
  withinSurge,
  rolloutsEnd,
  rolledBack,
  converges,
];

/** What each is called, and what finds errors that nobody caught. */
export function checkerNames(): string[] {
  // A checker looks at its world only once that runs.
  return [...allCheckers.map((make) => make({} as World).name), "no stray errors"];
}
