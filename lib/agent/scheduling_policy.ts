/**
 * How the system schedules an agent and its runners: as batch work (sched(7), SCHED_BATCH), which does not interrupt
 * what runs when it is woken. So whoever sends requests goes on until they are all sent, and they are worked off
 * together (docs/decisions/0028).
 */
import { openCLibrary } from "../c_library.ts";

/** Of <sched.h> on Linux. */
const SCHED_OTHER = 0;
const SCHED_BATCH = 3;

/** For this thread, and the processes that it starts from now on. A policy that somebody else has chosen stays. */
export function workInBatches(): void {
  const library = openCLibrary({
    sched_getscheduler: { parameters: ["i32"], result: "i32" },
    sched_setscheduler: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  });
  if (library === null) return;
  const { sched_getscheduler, sched_setscheduler } = library.symbols;
  // It has one field, the priority, which is 0 for both policies; a refusal leaves all as it was.
  const parameters = new Int32Array(1);
  if (sched_getscheduler(0) === SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, parameters);
  library.close();
}
