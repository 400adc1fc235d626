/** Hosting with real runner processes for tests: modules from text, requests as frames, outcomes as values. */
import { createHash } from "node:crypto";
import { createSystemClock } from "../../lib/clock.ts";
import { createHosting, type Hosting, type HostingOptions } from "../../lib/hosting/hosting.ts";
import { type FrameSink, runnerCommandFor } from "../../lib/hosting/host.ts";
import type { Observation } from "../../lib/hosting/replica_requests.ts";
import { silentLog } from "../../lib/log.ts";
import {
  CancelReason,
  decodeFrame,
  encodeFrame,
  Flag,
  forEachFrame,
  type Frame,
  Op,
} from "../../lib/protocol/frame.ts";
import type {
  LogLine,
  ModuleFile,
  ReplicaReport,
  ReplicaSpecification,
} from "../../lib/protocol/messages.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { eventually } from "./eventually.ts";

const clock = createSystemClock();

export type Outcome =
  | { ok: true; value: unknown; parts: unknown[]; frame: Frame }
  | { ok: false; code: string; message: string; details: Record<string, unknown>; parts: unknown[] };

export interface CallOptions {
  timeoutMs?: number;
  idempotent?: boolean;
  stream?: boolean;
  headers?: Record<string, string>;
  /** Called for each part; its return value is the credit to give. */
  onPart?: (value: unknown) => number;
}

export interface Call {
  id: number;
  outcome: Promise<Outcome>;
  cancel(): void;
}

export type Sources = Record<string, string | Uint8Array>;

/** A replica's specification; files of `sources` are entries unless they lie in `lib/`. `.ts` sources keep that name for users. */
export function specificationOf(
  sources: Sources,
  more: Partial<ReplicaSpecification> = {},
): { specification: ReplicaSpecification; blobs: Map<string, Uint8Array> } {
  const blobs = new Map<string, Uint8Array>();
  const modules = Object.entries(sources).map(([path, source]): ModuleFile => {
    const bytes = typeof source === "string" ? new TextEncoder().encode(source) : source;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    blobs.set(sha256, bytes);
    return {
      path,
      source: `modules/${path.replace(/\.js$/, ".ts")}`,
      sha256,
      sizeBytes: bytes.length,
      kind: path.endsWith(".wasm") ? "wasm" : "js",
      entry: !path.startsWith("lib/"),
    };
  });
  const specification: ReplicaSpecification = {
    handle: 1,
    replicaSet: "set",
    revision: 1,
    version: "1.0.0",
    modules,
    permissions: {},
    env: {},
    memoryMb: 256,
    timeoutMs: 30_000,
    ...more,
  };
  return { specification, blobs };
}

/** Owns a temporary folder and a Hosting in it; `await using` ends both. */
export class Hosted implements AsyncDisposable {
  readonly logs: LogLine[] = [];
  readonly observed: Observation[] = [];
  states: ReplicaReport[][] = [];
  hosting!: Hosting;
  folder = "";
  fetches: string[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  #lastId = 0;
  #generation = 0;
  #waiting = new Map<
    number,
    { outcome: (outcome: Outcome) => void; parts: unknown[]; options: CallOptions }
  >();
  readonly sink: FrameSink = {
    bufferedBytes: 0,
    sendFrames: (bytes, at, end) => this.#receive(bytes.subarray(at, end)),
  };

  static async create(options: Partial<HostingOptions> = {}): Promise<Hosted> {
    const hosted = new Hosted();
    hosted.folder = await Deno.makeTempDir({ prefix: "sqwish-hosting-" });
    await Deno.chmod(hosted.folder, 0o711);
    hosted.hosting = await createHosting({
      dataFolder: hosted.folder,
      clock,
      random: createSystemRandom(),
      log: silentLog,
      cores: 2,
      runnerCommand: runnerCommandFor(new URL("./runner_entry.ts", import.meta.url).href),
      fetchModule: (sha256) => {
        hosted.fetches.push(sha256);
        const bytes = hosted.blobs.get(sha256);
        return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`no module ${sha256}`));
      },
      onState: (reports) => hosted.states.push(reports),
      onLogLine: (line) => hosted.logs.push(line),
      observe: (observation) => hosted.observed.push(observation),
      upstream: { request() {}, cancel() {}, forget() {} },
      ...options,
    });
    return hosted;
  }

  /** One hosted replica made of `sources`, ready for requests. */
  static async ready(
    sources: Sources,
    more: Partial<ReplicaSpecification> = {},
    options: Partial<HostingOptions> = {},
  ): Promise<Hosted> {
    const hosted = await Hosted.create(options);
    try {
      hosted.deploy(sources, more);
      await hosted.becomes("ready");
    } catch (thrown) {
      await hosted[Symbol.asyncDispose]();
      throw thrown;
    }
    return hosted;
  }

  deploy(sources: Sources, more: Partial<ReplicaSpecification> = {}): ReplicaSpecification {
    const { specification, blobs } = specificationOf(sources, more);
    for (const [sha256, bytes] of blobs) this.blobs.set(sha256, bytes);
    this.apply([specification]);
    return specification;
  }

  apply(replicas: ReplicaSpecification[]): void {
    this.hosting.apply({ type: "desired", generation: ++this.#generation, replicas });
  }

  becomes(state: ReplicaReport["state"]): Promise<ReplicaReport> {
    return eventually(`a replica that is ${state}`, () => {
      const report = this.hosting.reports()[0];
      if (report?.state === state) return report;
      throw new Error(`${report?.state}: ${report?.reason}`);
    });
  }

  start(endpoint: string, input: unknown, options: CallOptions = {}, handle = 1): Call {
    const id = ++this.#lastId;
    const bytes = input instanceof Uint8Array;
    const outcome = new Promise<Outcome>((resolve) =>
      this.#waiting.set(id, { outcome: resolve, parts: [], options })
    );
    const frame = encodeFrame({
      op: Op.request,
      id,
      flags: (bytes ? Flag.bytes : 0) | (options.stream ? Flag.stream : 0) |
        (options.idempotent ? Flag.idempotent : 0),
      a: options.timeoutMs ?? 30_000,
      b: handle << 8 | 1,
      requestId: id.toString(16).padStart(16, "0"),
      name: endpoint,
      meta: options.headers ? JSON.stringify(options.headers) : "",
      body: bytes ? input : new TextEncoder().encode(JSON.stringify(input)),
    });
    this.request(frame, this.sink);
    return { id, outcome, cancel: () => this.hosting.cancel(id, this.sink, CancelReason.caller) };
  }

  /** A frame as it comes from a manager whose end of the connection is `sink`. */
  request(frame: Uint8Array, sink: FrameSink): void {
    this.hosting.request(frame, 0, frame.length, sink, clock.monotonicMs());
  }

  invoke(endpoint: string, input: unknown = null, options: CallOptions = {}): Promise<Outcome> {
    return this.start(endpoint, input, options).outcome;
  }

  /** The reply's value; throws the error's code and message. */
  async value(endpoint: string, input: unknown = null, options: CallOptions = {}): Promise<unknown> {
    const outcome = await this.invoke(endpoint, input, options);
    if (outcome.ok) return outcome.value;
    throw new Error(`${outcome.code}: ${outcome.message}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hosting.close();
    await Deno.remove(this.folder, { recursive: true });
  }

  #receive(bytes: Uint8Array): void {
    forEachFrame(bytes, (at) => {
      const frame = decodeFrame(bytes, at);
      const waiting = this.#waiting.get(frame.id);
      if (!waiting) throw new Error(`an answer nobody waits for: op ${frame.op}, id ${frame.id}`);
      if (frame.op === Op.part) {
        const value = valueOf(frame);
        waiting.parts.push(value);
        const credit = waiting.options.onPart?.(value) ?? 1;
        if (credit > 0) this.hosting.credit(frame.id, credit, this.sink);
        return;
      }
      this.#waiting.delete(frame.id);
      if (frame.op === Op.reply) {
        waiting.outcome({ ok: true, value: valueOf(frame), parts: waiting.parts, frame });
      } else {
        waiting.outcome({ ok: false, ...JSON.parse(frame.meta), parts: waiting.parts });
      }
    });
  }
}

function valueOf(frame: Frame): unknown {
  if (frame.flags & Flag.bytes) return frame.body.slice();
  return frame.body.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(frame.body));
}
