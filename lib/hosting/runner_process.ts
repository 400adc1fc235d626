/**
 * One runner as a child process: spawned with an empty environment and, under a root agent, as another user; told
 * what to load over standard input; connected by a unix socket of its own that takes one connection and is then
 * unlinked. Says exactly once how it ended.
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { describeError, SqwishError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import type { ReplicaSpecification } from "../protocol/messages.ts";
import { decodeFrame, frameLength, frameOp, Op } from "../protocol/frame.ts";
import {
  encodeLine,
  type MessageToRunner,
  parseRunnerLine,
  readLines,
  type StartMessage,
} from "./control.ts";
import { FrameSocket } from "./frame_socket.ts";
import type { Runner, RunnerCommand, RunnerEvents } from "./host.ts";
import { readOpenFiles, whyNoRunner } from "./open_files.ts";
import { readProcessSample } from "./process_sample.ts";
import type { RunnerUser } from "./runner_user.ts";

/** How long a runner may take from its start to its first word on the socket: a slow card or an emulated machine takes half a minute. */
const connectMsMax = 60_000;
/** How long a process may live on once its socket is closed. */
const exitMsMax = 100;
const errorTextMax = 4096;

export interface RunnerProcessOptions {
  command: RunnerCommand;
  scratchFolder: string;
  clock: Clock;
  random: Random;
  log: Log;
  user: RunnerUser | null;
  specification: ReplicaSpecification;
  folder: string;
  events: RunnerEvents;
}

/** Never throws: what goes wrong comes as `onExit`. */
export function startRunnerProcess(options: RunnerProcessOptions): Runner {
  return new RunnerProcess(options);
}

class RunnerProcess implements Runner {
  readonly #options: RunnerProcessOptions;
  readonly #events: RunnerEvents;
  readonly #socketPath: string;
  readonly #secret: string;
  #listener: Deno.UnixListener | null = null;
  #child: Deno.ChildProcess | null = null;
  #input: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #socket: FrameSocket | null = null;
  #revocations: { through: number; resolve: (claimed: number) => void; reject: (why: Error) => void }[] = [];
  #reason: string | null = null;
  #errorText = "";
  #exited = false;
  #cancelTimers: (() => void)[] = [];

  constructor(options: RunnerProcessOptions) {
    this.#options = options;
    this.#events = options.events;
    this.#secret = Buffer.from(options.random.secret(16)).toString("hex");
    this.#socketPath = join(options.scratchFolder, `${this.#secret.slice(0, 12)}.sock`);
    // In the next turn, so that the caller has the runner in hand before the first event.
    queueMicrotask(() => void this.#run());
  }

  get bufferedBytes(): number {
    return this.#socket?.bufferedBytes ?? 0;
  }

  sendFrames(bytes: Uint8Array, at?: number, end?: number): void {
    this.#socket?.sendFrames(bytes, at, end);
  }

  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    this.#socket?.freeWhenWritten(bytes, at, end);
  }

  pauseReading(): void {
    this.#socket?.pauseReading();
  }

  resumeReading(): void {
    this.#socket?.resumeReading();
  }

  revoke(through: number): Promise<number> {
    if (this.#exited) return Promise.reject(new Error("the runner has ended"));
    return new Promise((resolve, reject) => {
      this.#revocations.push({ through, resolve, reject });
      this.#tell({ type: "revoke", through });
    });
  }

  stop(graceMs: number): void {
    this.#reason ??= "stopped";
    this.#tell({ type: "stop" });
    this.#cancelTimers.push(this.#options.clock.after(graceMs, () => this.kill("stopped")));
  }

  kill(reason: string): void {
    if (this.#exited) return;
    this.#reason ??= reason;
    try {
      this.#child?.kill("SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }

  sample() {
    return this.#child && !this.#exited
      ? readProcessSample(this.#child.pid, (path) => Deno.readTextFileSync(path))
      : undefined;
  }

  async #run(): Promise<void> {
    let exitText = "could not be started";
    const noRoom = whyNoRunner(readOpenFiles());
    if (noRoom !== null) {
      this.#events.onFailed(noRoom);
      return this.#end(exitText);
    }
    try {
      this.#listen();
      const child = this.#spawn();
      this.#child = child;
      if (this.#reason !== null) this.kill(this.#reason);
      this.#input = child.stdin.getWriter();
      this.#tell(this.#startMessage());
      const timer = this.#options.clock.after(connectMsMax, () => this.kill("did not come up in time"));
      this.#cancelTimers.push(timer);
      void this.#accept(timer);
      const [status] = await Promise.all([child.status, this.#readOutput(child), this.#readErrors(child)]);
      exitText = status.signal ? `was ended by ${status.signal}` : `ended with exit code ${status.code}`;
    } catch (thrown) {
      exitText = `could not be started: ${describeError(thrown)}`;
      this.#options.log.error("A runner could not be started", { cause: thrown });
    }
    this.#end(exitText);
  }

  #listen(): void {
    this.#listener = Deno.listen({ transport: "unix", path: this.#socketPath });
    const { user } = this.#options;
    if (user) Deno.chownSync(this.#socketPath, user.uid, user.gid);
    Deno.chmodSync(this.#socketPath, 0o600);
  }

  #spawn(): Deno.ChildProcess {
    const { command, user } = this.#options;
    return new Deno.Command(command.path, {
      args: command.args,
      clearEnv: true,
      env: command.env,
      cwd: "/",
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
    }).spawn();
  }

  #startMessage(): StartMessage {
    const { specification, folder } = this.#options;
    return {
      type: "start",
      replicaSet: specification.replicaSet,
      socketPath: this.#socketPath,
      secret: this.#secret,
      folder,
      modules: specification.modules,
      permissions: specification.permissions,
      env: specification.env,
    };
  }

  /**
   * Takes one connection and none after it. Without the secret it is a stranger's, and the runner, which then has no way
   * in, is ended: only processes of the runner's own user can reach the socket, and those could end the runner anyway.
   */
  async #accept(cancelTimer: () => void): Promise<void> {
    try {
      const stream = await this.#listener!.accept();
      this.#closeListener();
      let known = false;
      this.#socket = new FrameSocket(stream, this.#options.clock, {
        onFrames: (bytes, at, end) => {
          if (known) return this.#events.onFrames(bytes, at, end);
          known = frameOp(bytes, at) === Op.call && decodeFrame(bytes, at).name === this.#secret;
          if (!known) return this.kill("broke the protocol");
          cancelTimer();
          const rest = at + frameLength(bytes, at);
          if (rest < end) this.#events.onFrames(bytes, rest, end);
        },
        onDrain: () => this.#events.onDrain(),
        onClose: (cause) => this.#onSocketClose(cause),
      });
    } catch (thrown) {
      if (!this.#exited && this.#reason === null) this.kill(`has no socket: ${describeError(thrown)}`);
    }
  }

  #onSocketClose(cause: unknown): void {
    if (this.#exited) return;
    if (cause instanceof SqwishError) return this.kill("broke the protocol");
    // A process that ends closes its socket first; its exit tells more than this does.
    this.#cancelTimers.push(this.#options.clock.after(exitMsMax, () => this.kill("closed its socket")));
  }

  async #readOutput(child: Deno.ChildProcess): Promise<void> {
    for await (const line of readLines(child.stdout)) {
      const message = parseRunnerLine(line);
      if (message.type === "online") this.#events.onOnline();
      else if (message.type === "imported") this.#events.onImported();
      else if (message.type === "loaded") this.#events.onLoaded(message.endpoints);
      else if (message.type === "failed") this.#events.onFailed(message.reason);
      else if (message.type === "log") this.#events.onLog(message.level, message.text, message.requestId);
      else if (message.type === "revoked") this.#settleRevocation(message.through, message.claimed);
    }
  }

  /** Keeps the end of what the runtime says of a crash. */
  async #readErrors(child: Deno.ChildProcess): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      this.#errorText = (this.#errorText + decoder.decode(chunk, { stream: true })).slice(-errorTextMax);
    }
  }

  #settleRevocation(through: number, claimed: number): void {
    const at = this.#revocations.findIndex((revocation) => revocation.through === through);
    if (at >= 0) this.#revocations.splice(at, 1)[0].resolve(claimed);
  }

  #end(exitText: string): void {
    this.#exited = true;
    for (const cancel of this.#cancelTimers) cancel();
    this.#closeListener();
    this.#socket?.close();
    this.#input?.close().catch(() => {});
    for (const { reject } of this.#revocations.splice(0)) reject(new Error("the runner has ended"));
    if (this.#reason === null && this.#errorText) {
      this.#options.log.debug("A runner ended", { how: exitText, said: this.#errorText.trim() });
    }
    const outOfMemory = /out of memory|heap limit/i.test(this.#errorText);
    this.#events.onExit(this.#reason ?? (outOfMemory ? "ran out of memory" : exitText));
  }

  #closeListener(): void {
    if (!this.#listener) return;
    this.#listener.close();
    this.#listener = null;
    try {
      Deno.removeSync(this.#socketPath);
    } catch {
      // Closing a listener unlinks its path on some versions.
    }
  }

  #tell(message: MessageToRunner): void {
    // A write fails only when the child is ending, and that is reported by its status.
    this.#input?.write(new TextEncoder().encode(encodeLine(message))).catch(() => {});
  }
}
