/**
 * An agent's session and hosting with one real runner process, driven by a manager that lives in the same process
 * and does next to nothing. Prints requests per second and the CPU time of a request in either process; the
 * agent's holds the driver's share, half a µs at 64 B.
 *
 *     deno run -A bench/micro/hosting.ts [seconds] [outstanding,…] [bytes,…] [echo|json|later]
 */
import { cpuUsage } from "node:process";
import { openSession } from "../../lib/agent/session.ts";
import { UpstreamCalls } from "../../lib/agent/upstream.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { runnerCommandFor } from "../../lib/hosting/host.ts";
import { createHosting, type Hosting } from "../../lib/hosting/hosting.ts";
import { runnerMain } from "../../lib/hosting/runner.ts";
import { silentLog } from "../../lib/log.ts";
import { Collector } from "../../lib/metrics/collect.ts";
import type { Channel, ChannelHandlers } from "../../lib/protocol/channel.ts";
import { encodeFrame, Flag, frameOp, Op, setFrameId } from "../../lib/protocol/frame.ts";
import { encodeMessage } from "../../lib/protocol/messages.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { specificationOf } from "../../tests/support/hosted.ts";

const modules = {
  "m.js": `export const echo = (input) => input;
    export const json = (input) => input;
    export const later = async (input) => { await null; return input; };`,
};
const warmUpMs = 1000;
const clock = createSystemClock();

/** The manager's end: keeps `outstanding` requests of one kind under way, each batch of answers answered by a batch. */
class Driver implements Channel {
  readonly remoteAddress = "driver";
  readonly bufferedBytes = 0;
  readonly jammed = false;
  readonly readingPaused = false;
  receivedBytes = 0;
  closed = false;
  done = 0;
  failed = 0;
  latenciesMs: number[] = [];
  #handlers!: ChannelHandlers;
  #template: Uint8Array = new Uint8Array(0);
  #lastId = 0;
  #owed = 0;
  #sentAtMs = 0;
  #quiet = Promise.withResolvers<void>();
  #stopping = false;
  #inFlight = 0;

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
  }

  welcome(): void {
    const welcome = encodeMessage({
      type: "welcome",
      protocol: 1,
      version: "0",
      cluster: "bench",
      managerInstance: "m",
      addresses: [],
      nowMs: 0,
    });
    this.#handlers.onControl(welcome);
  }

  run(template: Uint8Array, outstanding: number): void {
    this.#template = template;
    this.#stopping = false;
    this.#quiet = Promise.withResolvers();
    this.#owed = this.#inFlight = outstanding;
    this.#refill();
  }

  /** Resolves once nothing is under way. */
  stop(): Promise<void> {
    this.#stopping = true;
    return this.#quiet.promise;
  }

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    for (let frame = at; frame < end;) {
      const op = frameOp(bytes, frame);
      if (op === Op.error) this.failed++;
      if (this.#owed++ === 0) queueMicrotask(() => this.#refill());
      this.done++;
      frame += (bytes[frame] << 24 | bytes[frame + 1] << 16 | bytes[frame + 2] << 8 | bytes[frame + 3]) >>> 0;
    }
  }

  freeWhenWritten(): void {}

  #refill(): void {
    const count = this.#owed;
    this.#owed = 0;
    const nowMs = clock.monotonicMs();
    if (this.#sentAtMs > 0) this.latenciesMs.push(nowMs - this.#sentAtMs);
    if (this.#stopping) {
      this.#inFlight -= count;
      this.#sentAtMs = 0;
      if (this.#inFlight === 0) this.#quiet.resolve();
      return;
    }
    const size = this.#template.length;
    const batch = new Uint8Array(count * size);
    for (let i = 0; i < count; i++) {
      batch.set(this.#template, i * size);
      setFrameId(batch, i * size, this.#lastId = (this.#lastId + 1) >>> 0);
    }
    this.#sentAtMs = nowMs;
    this.receivedBytes += batch.length;
    this.#handlers.onFrames(batch);
  }

  sendControl(): void {}
  pauseReading(): void {}
  resumeReading(): void {}
  close(): void {
    this.closed = true;
    this.#handlers.onClose({ code: 1000, reason: "done" });
  }
  abandon(reason: string): void {
    console.error(`the agent hung up: ${reason}`);
    this.close();
  }
}

async function startHosting(folder: string, calls: UpstreamCalls): Promise<Hosting> {
  const { specification, blobs } = specificationOf(modules, { concurrency: 4096 });
  const ready = Promise.withResolvers<void>();
  const collector = new Collector();
  const hosting = await createHosting({
    dataFolder: folder,
    clock,
    random: createSystemRandom(),
    log: silentLog,
    cores: 1,
    runnerCommand: runnerCommandFor(import.meta.url),
    fetchModule: (sha256) => Promise.resolve(blobs.get(sha256)!),
    onState(reports) {
      if (reports[0]?.state === "ready") ready.resolve();
      else if (reports[0]?.state === "failed") ready.reject(new Error(reports[0].reason));
    },
    onLogLine: (line) => console.error(line.text),
    observe: (run) => collector.observe(run),
    upstream: calls,
  });
  hosting.apply({ type: "desired", generation: 1, replicas: [specification] });
  await ready.promise;
  return hosting;
}

function requestFrame(endpoint: string, bodyBytes: number): Uint8Array {
  const text = endpoint === "echo" ? "a".repeat(bodyBytes) : JSON.stringify("a".repeat(bodyBytes - 2));
  return encodeFrame({
    op: Op.request,
    id: 1,
    flags: endpoint === "echo" ? Flag.bytes : 0,
    a: 30_000,
    b: 1 << 8 | 1,
    requestId: "00000000000000ff",
    name: `set/${endpoint}`,
    body: new TextEncoder().encode(text),
  });
}

function childCpuMs(): number {
  let ticks = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(fields[1]) === Deno.pid) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has just ended.
    }
  }
  return ticks * 10;
}

function ownCpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

const sleep = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));

async function measure(
  driver: Driver,
  endpoint: string,
  outstanding: number,
  bytes: number,
  seconds: number,
) {
  driver.run(requestFrame(endpoint, bytes), outstanding);
  await sleep(warmUpMs);
  driver.latenciesMs = [];
  const before = {
    done: driver.done,
    atMs: clock.monotonicMs(),
    agentMs: ownCpuMs(),
    runnerMs: childCpuMs(),
  };
  await sleep(seconds * 1000);
  const done = driver.done - before.done;
  const perSecond = done / (clock.monotonicMs() - before.atMs) * 1000;
  const agentUs = (ownCpuMs() - before.agentMs) * 1000 / done;
  const runnerUs = (childCpuMs() - before.runnerMs) * 1000 / done;
  await driver.stop();
  const latencies = driver.latenciesMs.sort((a, b) => a - b);
  const p50 = latencies[latencies.length >> 1] ?? NaN;
  console.log(
    `${endpoint} ${bytes} B x${outstanding}: ${perSecond.toFixed(0)} req/s, batch p50 ${
      p50.toFixed(3)
    } ms, ` +
      `µs/req agent ${agentUs.toFixed(2)}, runner ${runnerUs.toFixed(2)}${
        driver.failed > 0 ? `, ${driver.failed} FAILED` : ""
      }`,
  );
}

async function main(): Promise<void> {
  const [seconds = "2", outstanding = "1,64,256", bytes = "64,8192", endpoint = "echo"] = Deno.args;
  const folder = await Deno.makeTempDir({ prefix: "sqwish-bench-" });
  await Deno.chmod(folder, 0o711);
  const driver = new Driver();
  const calls = new UpstreamCalls();
  const hosting = await startHosting(folder, calls);
  const session = openSession({
    clock,
    channel: driver,
    hello: { type: "hello", role: "agent", replicas: [] } as never,
    hosting,
    calls,
    telemetry: () =>
      ({ host: {}, agentCpuCores: 0, agentMemoryBytes: 0, replicas: [], endpoints: [] }) as never,
    takeLogs: () => [],
    onWelcome: () => {},
  });
  driver.welcome();
  for (const size of bytes.split(",").map(Number)) {
    for (const count of outstanding.split(",").map(Number)) {
      await measure(driver, endpoint, count, size, Number(seconds));
    }
  }
  session.leave("done");
  await hosting.close();
  await Deno.remove(folder, { recursive: true });
}

if (import.meta.main) {
  if (Deno.args[0] === "runner") await runnerMain();
  else await main();
}
