/** How long a runner takes from nothing to ready: what a new replica, or one that has crashed, waits for. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { createSystemClock } from "../../lib/clock.ts";
import { createProcessHost, type ModuleHost, runnerCommandFor } from "../../lib/hosting/host.ts";
import { silentLog } from "../../lib/log.ts";
import type { ReplicaSpecification } from "../../lib/protocol/messages.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { descendantsOf, memoryOf } from "../measure.ts";
import { type Session, withContext } from "../session.ts";
import { median, short, table } from "../statistics.ts";
import type { Scenario } from "./scenario.ts";

interface Start {
  ms: number;
  rssMb: number;
  pssMb: number;
}

const source = "export function echo(input) { return input; }\n";

export const runner: Scenario<Start[]> = {
  name: "runner",
  title: "Starting a runner",
  async run(session) {
    const starts: Start[] = [];
    const count = session.quick ? 1 : 10 * session.rounds;
    await withContext(session, async ({ folder }) => {
      await Deno.chmod(session.folder, 0o711);
      await Deno.chmod(folder, 0o711);
      await Deno.writeTextFile(join(folder, "echo.js"), source, { mode: 0o644 });
      const host = hostOf(session, folder);
      // The first one reads everything from the disk.
      await startOne(host, folder);
      for (let number = 0; number < count; number++) {
        session.interrupted.throwIfAborted();
        starts.push(await startOne(host, folder));
      }
    });
    session.say(`a runner is ready after ${short(median(starts.map(({ ms }) => ms)))} ms`);
    return starts;
  },
  section(starts) {
    const ms = starts.map((start) => start.ms).sort((a, b) => a - b);
    const row = [
      ...[short(median(ms)), short(ms[0]), short(ms[ms.length - 1])],
      ...[short(median(starts.map(({ rssMb }) => rssMb))), short(median(starts.map(({ pssMb }) => pssMb)))],
    ];
    return {
      text:
        `From the decision to start one until its module is loaded and the first request could run, one after the other;
memory is that of a fresh runner which has served nothing.

${
          table(["starts", "median ms", "least ms", "most ms", "RSS MiB", "PSS MiB"], [[
            String(starts.length),
            ...row,
          ]])
        }`,
      plots: [],
      goals: [],
    };
  },
};

function hostOf(session: Session, scratchFolder: string): ModuleHost {
  const [path, ...before] = session.programs.agent;
  // From source the agent is a module of Deno's; compiled it is an executable by itself.
  const command = before.length > 0
    ? runnerCommandFor(new URL("../../agent.ts", import.meta.url).href)
    : { path, args: ["runner"], env: { NO_COLOR: "1" }, reads: [], user: null };
  return createProcessHost({
    ...{ command, scratchFolder },
    ...{ clock: createSystemClock(), random: createSystemRandom(), log: silentLog },
  });
}

async function startOne(host: ModuleHost, folder: string): Promise<Start> {
  const loaded = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const startedMs = performance.now();
  const fail = (reason: string) => loaded.reject(new Error(`The runner must start, but ${reason}`));
  const started = host.start(specification(), folder, {
    onOnline() {},
    onImported() {},
    onLoaded: () => loaded.resolve(),
    onFailed: fail,
    onFrames() {},
    onDrain() {},
    onLog() {},
    onExit(reason) {
      fail(reason);
      ended.resolve();
    },
  });
  try {
    await loaded.promise;
    const ms = performance.now() - startedMs;
    // Nothing else is a child of this process meanwhile.
    return { ms, ...memoryOf(descendantsOf(Deno.pid)) };
  } finally {
    started.kill("it was measured");
    await ended.promise;
  }
}

function specification(): ReplicaSpecification {
  const bytes = new TextEncoder().encode(source);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const file = { path: "echo.js", source: "echo.ts", sha256, sizeBytes: bytes.length };
  return {
    ...{ handle: 1, replicaSet: "bench", revision: 1, version: "1.0.0" },
    modules: [{ ...file, kind: "js", entry: true }],
    ...{ permissions: {}, env: {}, memoryMb: 256, timeoutMs: 30_000 },
  };
}
