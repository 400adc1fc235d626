/** How long an agent needs from the order to run a replica until it is ready, and what each runner then takes. */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { createSystemClock } from "../../lib/clock.ts";
import { runnerCommandFor } from "../../lib/hosting/host.ts";
import { createHosting } from "../../lib/hosting/hosting.ts";
import { silentLog } from "../../lib/log.ts";
import type { ReplicaSpecification } from "../../lib/protocol/messages.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { descendantsOf, type Memory, memoryOf } from "../measure.ts";
import { unlessAborted } from "../processes.ts";
import { type Session, withContext } from "../session.ts";

export interface RunnerStart {
  startMs: number[];
  /** Of one runner, out of all that were started. */
  memoryEach: Memory;
}

const source = new TextEncoder().encode("export function echo(input) { return input; }\n");
const sha256 = createHash("sha256").update(source).digest("hex");

export async function runnerStart(session: Session, count: number): Promise<RunnerStart> {
  return await withContext(session, async ({ folder, interrupted }) => {
    await Deno.chmod(session.folder, 0o711);
    await Deno.chmod(folder, 0o711);
    let waiting: { handle: number; ready: () => void } | undefined;
    const hosting = await createHosting({
      dataFolder: folder,
      clock: createSystemClock(),
      random: createSystemRandom(),
      log: silentLog,
      cores: navigator.hardwareConcurrency,
      runnerCommand: commandOf(session),
      fetchModule: () => Promise.resolve(source),
      onState(reports) {
        const report = reports.find(({ handle }) => handle === waiting?.handle);
        if (report?.state === "ready") waiting?.ready();
      },
      onLogLine: () => {},
      observe: () => {},
      upstream: { request() {}, cancel() {}, forget() {} },
    });
    try {
      const startMs: number[] = [];
      const replicas: ReplicaSpecification[] = [];
      for (let handle = 1; handle <= count; handle++) {
        const ready = Promise.withResolvers<void>();
        waiting = { handle, ready: ready.resolve };
        replicas.push(specificationOf(handle));
        const startedMs = performance.now();
        hosting.apply({ type: "desired", generation: handle, replicas: [...replicas] });
        await unlessAborted(interrupted, ready.promise);
        startMs.push(performance.now() - startedMs);
      }
      const { rssMb, pssMb } = memoryOf(descendantsOf(Deno.pid));
      const found = { startMs, memoryEach: { rssMb: rssMb / count, pssMb: pssMb / count } };
      session.say(`runner start: ${JSON.stringify(found)}`);
      return found;
    } finally {
      await hosting.close();
    }
  });
}

/** The agent as it is run: a compiled one starts itself, from source it is this Deno with `agent.ts`. */
function commandOf({ programs }: Session): ReturnType<typeof runnerCommandFor> {
  const root = dirname(dirname(import.meta.dirname!));
  const fromSource = runnerCommandFor(`file://${join(root, "agent.ts")}`);
  if (programs.agent.length > 1) return fromSource;
  return { ...fromSource, path: programs.agent[0], args: ["runner"], reads: [] };
}

function specificationOf(handle: number): ReplicaSpecification {
  const module = { path: "echo.js", source: "echo.js", sha256, sizeBytes: source.length };
  return {
    ...{ handle, replicaSet: "bench", revision: 1, version: "1.0.0", permissions: {}, env: {} },
    ...{ memoryMb: 256, timeoutMs: 30_000 },
    modules: [{ ...module, kind: "js", entry: true }],
  };
}
