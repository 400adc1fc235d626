/**
 * A client in the simulated world: the real library on a connection that breaks. It invokes, streams, cancels, floods,
 * stops reading, freezes and vanishes; what becomes of each request is noted.
 */
import { Sqwish } from "../../lib/client/sqwish.ts";
import { SqwishError } from "../../lib/errors.ts";
import { SimulatedChannel } from "./channel.ts";
import type { Dice } from "./dice.ts";
import { badEndpoints, goodEndpoints, type OperationInput } from "./modules.ts";
import { Machine } from "./network.ts";
import type { Operation } from "./observer.ts";
import { SimulatedProcess } from "./timeline.ts";
import type { World } from "./world.ts";

export class SimulatedClient {
  readonly machine: Machine;
  process: SimulatedProcess | null = null;
  sqwish: Sqwish | null = null;
  /** When it last went on after it had been frozen, or had not read. */
  wokenMs = 0;
  readonly open = new Set<Operation>();
  readonly #world: World;
  readonly #dice: Dice;
  readonly #meanMs: number;
  /** How often its requests do harm. */
  readonly #malice: number;
  #channel: SimulatedChannel | null = null;
  #starts = 0;

  constructor(world: World, readonly name: string) {
    this.#world = world;
    this.#dice = world.dice.fork(name);
    this.machine = new Machine(name, this.#dice.between(0.2, 20), this.#dice.spread(200, 20_000));
    this.#meanMs = this.#dice.spread(100, 1000) * world.plan.clients / 4;
    this.#malice = this.#dice.pick([0, 0, 0.002, 0.02]);
  }

  start(): void {
    if (this.process !== null) return;
    const { timeline, network } = this.#world;
    const process = new SimulatedProcess(timeline, this.name, 1_790_000_000_000);
    this.process = process;
    this.#starts++;
    this.#world.trace.note("client starts", this.name, this.#starts);
    const sqwish = new Sqwish({
      clock: process.clock,
      random: this.#dice.fork(`start ${this.#starts}`).random,
      version: "0.1.0",
      dial: async () => {
        const end = await network.dial(process, this.machine, `client:${this.name}`, 10_000);
        this.#channel = new SimulatedChannel(end, "client");
        return this.#channel;
      },
      enroll: () => false,
    });
    this.sqwish = sqwish;
    void sqwish.open(Infinity).catch(() => {});
    this.#goOn(process);
  }

  /** Killed, or its machine is off: it waits for nothing any more. */
  vanish(unheard: boolean): void {
    const { process } = this;
    if (process === null) return;
    this.#world.trace.note("client ends", this.name);
    for (const operation of this.open) operation.orphaned = true;
    this.open.clear();
    if (unheard) this.#world.network.cutOff(process);
    this.process = null;
    this.sqwish = null;
    this.#channel = null;
    process.kill();
  }

  freeze(): void {
    this.process?.freeze();
  }

  thaw(): void {
    this.process?.thaw();
    this.wokenMs = this.#world.timeline.nowMs;
  }

  pauseReading(): void {
    this.#channel?.pauseReading();
  }

  resumeReading(): void {
    this.#channel?.resumeReading();
    this.wokenMs = this.#world.timeline.nowMs;
  }

  /** As many requests at once as `count`. */
  flood(count: number, name: "work" | "big"): void {
    this.process?.run(() => {
      const set = this.#dice.pick(this.#world.plan.sets);
      for (let i = 0; i < count; i++) this.#invoke(`${set.name}/${name}`, set);
    });
  }

  #goOn(process: SimulatedProcess): void {
    process.clock.after(this.#dice.wait(this.#meanMs), () => {
      if (this.#world.isLoaded) this.#request();
      this.#goOn(process);
    });
  }

  #request(): void {
    const { sets, busiest } = this.#world.plan;
    if (busiest !== undefined && this.#dice.chance(busiestShare)) {
      return this.#invoke(`${busiest}/quick`, sets.find(({ name }) => name === busiest)!);
    }
    const set = this.#dice.pick(sets);
    const bad = this.#world.hasFaults && this.#dice.chance(this.#malice);
    const name = bad ? this.#dice.pick(badEndpoints) : this.#dice.pick(goodEndpoints);
    this.#invoke(`${set.name}/${name}`, set);
  }

  #invoke(endpoint: string, set: { name: string; timeoutMs: number; idempotent: boolean }): void {
    const dice = this.#dice;
    const { sqwish } = this;
    if (sqwish === null) return;
    const timeoutMs = dice.chance(0.15) ? undefined : dice.pick([50, 300, 1000, 3000, 5000]);
    const idempotent = dice.chance(0.4);
    const mayRepeat = idempotent || set.idempotent;
    const isStream = endpoint.endsWith("/count") && dice.chance(0.7);
    // Whoever takes its parts slowly learns of the end last.
    const pauseMs = isStream && dice.chance(0.2) ? 30 : 0;
    // Without a budget of its own it is sent anew after each loss, with the endpoint's: it only must end at the end.
    const budgetMs = timeoutMs === undefined ? Infinity : timeoutMs + pauseMs * partsMax;
    const operation = this.#world.operation(this.name, endpoint, mayRepeat, budgetMs);
    const input: OperationInput = {
      n: operation.n,
      ms: dice.pick([2, 20, 100, 400]),
      parts: dice.pick([2, 5, partsMax]),
      bytes: dice.pick([1000, 100_000, 300_000]),
      target: dice.pick(this.#world.plan.sets).name,
      ...(dice.chance(0.02) ? { padding: "x".repeat(100_000) } : {}),
    };
    this.open.add(operation);
    const abort = dice.chance(0.08) ? new AbortController() : null;
    if (abort) this.process!.clock.after(dice.between(0, 500), () => abort.abort());
    const options = { timeoutMs, idempotent, ...(abort ? { signal: abort.signal } : {}) };
    const end = (outcome: string, thrown?: unknown) => {
      if (!this.open.delete(operation)) return;
      this.#world.operationEnded(
        operation,
        outcome,
        thrown instanceof SqwishError ? thrown.mayHaveRun : "maybe",
      );
    };
    const ending = isStream
      ? this.#stream(sqwish, endpoint, input, options, pauseMs)
      : sqwish.invoke(endpoint, input, options);
    ending.then(
      (value) => end(value === leftEarly ? "left" : "ok"),
      (thrown) => end(thrown instanceof SqwishError ? thrown.code : `no SqwishError: ${thrown}`, thrown),
    );
  }

  async #stream(
    sqwish: Sqwish,
    endpoint: string,
    input: OperationInput,
    options: { timeoutMs?: number; idempotent: boolean },
    pauseMs: number,
  ): Promise<unknown> {
    const leaveAfter = this.#dice.chance(0.2) ? 1 : Infinity;
    const { clock } = this.process!;
    let parts = 0;
    for await (const _ of sqwish.stream(endpoint, input, options)) {
      if (++parts >= leaveAfter) return leftEarly;
      if (pauseMs > 0) await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
    }
    return parts;
  }
}

const partsMax = 100;
/** Of all requests, where one endpoint has most of them. */
const busiestShare = 0.75;
const leftEarly = Symbol("left early");
