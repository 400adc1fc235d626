/** Every fault, in the order of the page. */
import type { Fault } from "./fault.ts";
import { clockFaults } from "./faults/clocks.ts";
import { diskFaults } from "./faults/disks.ts";
import { fileFaults } from "./faults/files.ts";
import { managerFaults } from "./faults/managers.ts";
import { networkFaults } from "./faults/networks.ts";
import { overloadFaults } from "./faults/overload.ts";
import { processFaults } from "./faults/processes.ts";

export const faults: readonly Fault[] = [
  ...processFaults,
  ...managerFaults,
  ...networkFaults,
  ...diskFaults,
  ...clockFaults,
  ...overloadFaults,
  ...fileFaults,
];
