/**
 * The ModuleHost seam: where runners come from. The real one starts the agent's own executable again as a child
 * (runner_process.ts); tests hand in one without processes. Replica → host → runner process → Worker → user code.
 */
import { fileURLToPath } from "node:url";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { EndpointDescription, LogLine, ReplicaSpecification } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { v8Flags } from "../v8_flags.ts";
import { readOpenFiles, roomForRunners } from "./open_files.ts";
import type { ProcessSample } from "./process_sample.ts";
import { startRunnerProcess } from "./runner_process.ts";
import { chooseRunnerUser, type RunnerUser } from "./runner_user.ts";

/** Where the frames of an answer go. A `Channel` is one. */
export interface FrameSink {
  /** `bytes[at, end)` holds whole frames; they are the sink's until written and must not be changed meanwhile. */
  sendFrames(bytes: Uint8Array, at?: number, end?: number): void;
  /** Nobody but the sink needs the frame `bytes[at, end)` any more, which was sent: a large one's memory may be given back. */
  freeWhenWritten?(bytes: Uint8Array, at: number, end: number): void;
  /** Bytes taken and not written yet. */
  readonly bufferedBytes: number;
}

/** How to start the agent's executable as a runner. */
export interface RunnerCommand {
  path: string;
  args: string[];
  /** Everything the child's environment holds. Never a secret: others of the same user can read it. */
  env: Record<string, string>;
  /** What the runner's user must be able to read, beside the executable. */
  reads: string[];
  /** Null: chosen by the user the agent runs as. */
  user: RunnerUser | null;
}

export interface RunnerEvents {
  /** The Worker is up; the modules are imported next. */
  onOnline(): void;
  /** Imported; `ready()` runs now. */
  onImported(): void;
  onLoaded(endpoints: EndpointDescription[]): void;
  /** Loading failed, with the reason in words for the module's author. The runner is of no more use. */
  onFailed(reason: string): void;
  /** Whole frames from the runner, back to back in `bytes[at, end)`; those bytes are the receiver's. */
  onFrames(bytes: Uint8Array, at: number, end: number): void;
  /** There is room again for more to be sent to the runner, after `bufferedBytes` had been over the high mark. */
  onDrain(): void;
  onLog(level: LogLine["level"], text: string, requestId?: string): void;
  /** The process has ended; nothing comes after this. `reason` is in words. Exactly once. */
  onExit(reason: string): void;
}

export interface Runner extends FrameSink {
  /** Stops and resumes taking its frames; the runner feels it as backpressure. */
  pauseReading(): void;
  resumeReading(): void;
  /** Takes back what has not started up to request number `through`; resolves with the last one that has. Rejects when the runner ends. */
  revoke(through: number): Promise<number>;
  /** Runs the modules' `stop()`, then ends the process; kills it after `graceMs`. */
  stop(graceMs: number): void;
  /** Ends the process at once. `onExit` follows with this reason. */
  kill(reason: string): void;
  sample(): ProcessSample | undefined;
}

export interface ModuleHost {
  /** Starts one runner. What goes wrong, also before there is a process, comes as `onExit`. `folder` holds the modules' files. */
  start(specification: ReplicaSpecification, folder: string, events: RunnerEvents): Runner;
  /** The user runners run as; null for the agent's own. */
  readonly user: RunnerUser | null;
}

/** A small machine with some replicas, of which each may take a runner per core, has use for more. */
const runnersFew = 32;

/** `scratchFolder` takes the sockets; the runner's user must be able to reach it. */
export function createProcessHost(
  options: { command: RunnerCommand; scratchFolder: string; clock: Clock; random: Random; log: Log },
): ModuleHost {
  const { command, scratchFolder, log } = options;
  const user = chooseRunnerUser(command, scratchFolder, log);
  const files = readOpenFiles();
  const runners = roomForRunners(files);
  if (runners < runnersFew) {
    log.warn("the limit on open files leaves room for few runners; raise it with LimitNOFILE= or ulimit -n", {
      ...{ openFilesMax: files.max, runners },
    });
  }
  return {
    user,
    start: (specification, folder, events) =>
      startRunnerProcess({ ...options, user, specification, folder, events }),
  };
}

/**
 * The command for the running program: the compiled executable itself, or `deno run` of `mainModule` (its
 * `import.meta.url`), with the argument `runner`, on which the program must call `runnerMain()`.
 */
export function runnerCommandFor(mainModule: string, user: RunnerUser | null = null): RunnerCommand {
  const quiet = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  if (Deno.build.standalone) return { path: Deno.execPath(), args: ["runner"], env: quiet, reads: [], user };
  const cache = Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;
  return {
    path: Deno.execPath(),
    // Only what is cached and locked: a module must not make Deno fetch a package, nor change the lock file. That is
    // by which packages are found: a fresh cache holds no lists of their versions.
    args: [
      "run",
      "-A",
      v8Flags,
      "--no-prompt",
      "--cached-only",
      "--frozen",
      mainModule,
      "runner",
    ],
    env: { ...quiet, DENO_DIR: cache },
    reads: [cache, fileURLToPath(mainModule)],
    user,
  };
}
