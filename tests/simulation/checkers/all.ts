/** Every checker of a run. */
import type { MakeChecker } from "../observer.ts";
import { bounded } from "./bounded.ts";
import { busy } from "./busy.ts";
import { converges } from "./converges.ts";
import { enoughReady, withinSurge } from "./enough_ready.ts";
import { fair } from "./fair.ts";
import { honest } from "./honest.ts";
import { oneOutcome } from "./one_outcome.ts";
import { rolledBack } from "./rolled_back.ts";
import { rolloutsEnd } from "./rollouts_end.ts";
import { runOnce } from "./run_once.ts";
import { shown } from "./shown.ts";
import { told } from "./told.ts";

export const allCheckers: readonly MakeChecker[] = [
  oneOutcome,
  runOnce,
  honest,
  shown,
  fair,
  busy,
  told,
  bounded,
  enoughReady,
  withinSurge,
  rolloutsEnd,
  rolledBack,
  converges,
];
