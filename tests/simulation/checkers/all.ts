/** Every checker of a run. */
import type { MakeChecker } from "../observer.ts";
import { oneOutcome } from "./one_outcome.ts";

export const allCheckers: readonly MakeChecker[] = [oneOutcome];
