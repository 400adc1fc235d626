/** Every fault, in the order of the page. */
import type { Fault } from "./fault.ts";
import { diskFaults } from "./faults/disks.ts";
import { managerFaults } from "./faults/managers.ts";
import { processFaults } from "./faults/processes.ts";

export const faults: readonly Fault[] = [...processFaults, ...managerFaults, ...diskFaults];
