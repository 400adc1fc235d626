/** Every scenario, in the order of the page. */
import { http } from "./http.ts";
import { interference } from "./interference.ts";
import { memory } from "./memory.ts";
import { runner } from "./runner.ts";
import { scale } from "./scale.ts";
import type { Scenario } from "./scenario.ts";
import { soak } from "./soak.ts";
import { telemetry } from "./telemetry.ts";
import { throughput } from "./throughput.ts";

/** A section is only ever made of what its own scenario returned, so their types need not be known here. */
// deno-lint-ignore no-explicit-any
export const scenarios: readonly Scenario<any>[] = [
  throughput,
  http,
  interference,
  memory,
  telemetry,
  scale,
  runner,
  soak,
];
