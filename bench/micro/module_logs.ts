/**
 * What chatty modules cost the manager's disk: its own log rings and store on a real folder, and replicaSets that print
 * more than is kept, for hours that are moved by hand. Prints bytes written per hour, as the kernel counts them.
 *
 *   deno run -A bench/micro/module_logs.ts [sets] [hours]
 */
import { limits } from "../../lib/limits.ts";
import { ModuleLogs } from "../../lib/manager/module_logs.ts";
import { readDiskWritten } from "../../lib/metrics/process_meter.ts";
import type { LogLine } from "../../lib/protocol/messages.ts";
import { openStore } from "../../lib/store/store.ts";
import { databaseBytes, endMinute } from "./disk.ts";

const [sets = 5, hours = 2] = Deno.args.map(Number);
const folder = await Deno.makeTempDir({ prefix: "sqwish-logs-", dir: Deno.env.get("BENCH_DIR") });
const store = openStore({ folder, serving: true });
const logs = new ModuleLogs(store.logs, 1);
let printed = 0;

/** Of a minute only as many lines as are kept: those before them are gone by then. */
function chatter(replicaSet: string): LogLine[] {
  return Array.from({ length: limits.logLinesKept }, () => ({
    ...{ atMs: 1_800_000_000_000 + ++printed, replicaSet, revision: 1, level: "info" as const },
    text: `request ${printed} took ${(printed * 7919) % 1000} ms and was answered from the cache`.padEnd(
      120,
      ".",
    ),
  }));
}

function minute(): void {
  for (let set = 0; set < sets; set++) logs.push("agent-1", chatter(`set-${set}`), () => true);
  logs.flush();
  endMinute(store, folder);
}

try {
  // What may be written at once is not what it costs for hours.
  for (let at = 0; at < 30; at++) minute();
  const before = readDiskWritten()!;
  for (let at = 0; at < hours * 60; at++) minute();
  const perHour = (readDiskWritten()! - before) / hours / 2 ** 20;
  const size = databaseBytes(folder) / 2 ** 20;
  console.log(`${sets} sets that print more than is kept: ${perHour.toFixed(2)} MiB written per hour`);
  console.log(`  database: ${size.toFixed(2)} MiB`);
} finally {
  store.close();
  await Deno.remove(folder, { recursive: true });
}
