/**
 * What simulated modules do. A module's source is JSON that says how it behaves; its functions are the endpoints that
 * clients invoke, good and bad ones.
 */
import type { Context } from "../../lib/hosting/context.ts";
import { frameBodyAt, frameName } from "../../lib/protocol/frame.ts";
import { NameCache } from "../../lib/protocol/name_cache.ts";
import type { SimulatedProcess } from "./timeline.ts";

/** A module as it is stored, sent to agents and checked by its SHA-256. */
export interface ModuleSource {
  set: string;
  version: number;
  /** Makes two sources differ that behave alike. */
  salt: number;
  loadMs: number;
  /** Does not load at all. */
  isBroken: boolean;
  /** Share of the loads that fail. */
  failsToLoad: number;
  /** How it answers once it has loaded. */
  answers: "well" | "badly" | "slowly";
}

/** Input of every endpoint. */
export interface OperationInput {
  /** The operation's number in this run. */
  n: number;
  ms?: number;
  parts?: number;
  bytes?: number;
  target?: string;
  padding?: string;
}

/** The number in the input of the request at `at`, which begins with `{"n":`. */
export function operationIn(bytes: Uint8Array, at: number): number {
  let n = 0;
  for (let i = frameBodyAt(bytes, at) + 5; bytes[i] >= 48 && bytes[i] <= 57; i++) n = n * 10 + bytes[i] - 48;
  return n;
}

const endpoints = new NameCache(frameName);

/** The endpoint that the request at `at` is for; many ask for each frame's. */
export function endpointIn(bytes: Uint8Array, at: number): string {
  return endpoints.get(bytes, at);
}

export interface RunnerWorld {
  readonly process: SimulatedProcess;
  started(input: OperationInput, context: Context): void;
  /** The process ends by itself. */
  exit(reason: string): void;
  setMemory(bytes: number): void;
  after(ms: number, action: () => void): void;
  /** The input of a request to an endpoint that a module makes itself. */
  nested(endpoint: string): OperationInput;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

const MiB = 1024 * 1024;
const never = () => new Promise<never>(() => {});

/** Endpoints that end by themselves. */
export const goodEndpoints = ["quick", "work", "count", "flaky", "relay", "big"] as const;
/** Endpoints that do harm to their runner. */
export const badEndpoints = ["hang", "stall", "crash", "leak"] as const;

/** A revision that answers badly fails this many of ten requests of its best endpoint; a slow one takes this long. */
const badOfTen = 9;
const slowMs = 400;

export function exportsOf(world: RunnerWorld, answers: ModuleSource["answers"]): Record<string, unknown> {
  const { process } = world;
  return {
    async quick(input: OperationInput, context: Context) {
      world.started(input, context);
      if (answers === "badly" && input.n % 10 < badOfTen) throw new Error("as this revision does");
      if (answers === "slowly") await world.sleep(slowMs, context.signal);
      return { n: input.n };
    },
    async work(input: OperationInput, context: Context) {
      world.started(input, context);
      await world.sleep(input.ms ?? 100, context.signal);
      return { n: input.n };
    },
    async *count(input: OperationInput, context: Context) {
      world.started(input, context);
      for (let part = 0; part < (input.parts ?? 5); part++) {
        await world.sleep((input.ms ?? 100) / 5);
        yield { n: input.n, part };
      }
    },
    async flaky(input: OperationInput, context: Context) {
      world.started(input, context);
      await world.sleep(input.ms ?? 10);
      throw new Error("as it happens");
    },
    async relay(input: OperationInput, context: Context) {
      world.started(input, context);
      const endpoint = `${input.target}/work`;
      return await context.invoke(endpoint, world.nested(endpoint));
    },
    async big(input: OperationInput, context: Context) {
      world.started(input, context);
      await world.sleep(5);
      return new Uint8Array(input.bytes ?? 100_000).fill(input.n);
    },
    hang(input: OperationInput, context: Context) {
      world.started(input, context);
      process.freeze();
      return never();
    },
    stall(input: OperationInput, context: Context) {
      world.started(input, context);
      process.freeze();
      world.after(input.ms ?? 500, () => process.thaw());
      return world.sleep(0).then(() => ({ n: input.n }));
    },
    crash(input: OperationInput, context: Context) {
      world.started(input, context);
      world.exit("ended with exit code 7");
      return never();
    },
    async leak(input: OperationInput, context: Context) {
      world.started(input, context);
      world.setMemory(4096 * MiB);
      await world.sleep(60_000, context.signal);
      return { n: input.n };
    },
  };
}
