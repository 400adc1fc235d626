/**
 * What one request costs in the client library, in µs of its own thread: first the library alone, on a channel in
 * memory that answers every batch in the next microtask, then over TLS to a peer process that only echoes frames.
 * `deno run -A bench/micro/client.ts [bytes,…] [outstanding,…] [seconds]`
 */
import { type InvokeOptions, Sqwish } from "../../lib/client/sqwish.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { silentLog } from "../../lib/log.ts";
import { openListener } from "../../lib/manager/listener.ts";
import type { Channel, ChannelHandlers } from "../../lib/protocol/channel.ts";
import { forEachFrame, Op } from "../../lib/protocol/frame.ts";
import { encodeMessage, joinPath, protocolVersion } from "../../lib/protocol/messages.ts";
import { dialWebSocket } from "../../lib/protocol/websocket_dial.ts";
import { createAuthority, issueServerCertificate } from "../../lib/security/authority.ts";

const clock = createSystemClock();
const random = createSystemRandom();
const welcome = encodeMessage({
  type: "welcome",
  protocol: protocolVersion,
  version: "0.0.0",
  cluster: "bench",
  managerInstance: "bench",
  addresses: [],
  nowMs: 0,
});

/** Makes each request its own reply, within the same bytes. */
function answerInPlace(bytes: Uint8Array): void {
  forEachFrame(bytes, (at) => {
    bytes[at + 4] = Op.reply;
  });
}

/** A manager in the same thread; what it does itself is a copy per frame. */
class MirrorChannel implements Channel {
  readonly remoteAddress = "memory";
  readonly bufferedBytes = 0;
  readonly jammed = false;
  readonly receivedBytes = 0;
  readonly readingPaused = false;
  readonly closed = false;
  #handlers: ChannelHandlers | null = null;
  #batch = new Uint8Array(1 << 20);
  #length = 0;

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
  }

  sendControl(): void {
    queueMicrotask(() => this.#handlers?.onControl(welcome));
  }

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.#length === 0) queueMicrotask(() => this.#answer());
    if (this.#length + end - at > this.#batch.length) {
      const grown = new Uint8Array(this.#batch.length * 2);
      grown.set(this.#batch);
      this.#batch = grown;
    }
    this.#batch.set(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end), this.#length);
    this.#length += end - at;
  }

  freeWhenWritten(): void {}

  #answer(): void {
    const bytes = this.#batch.slice(0, this.#length);
    this.#length = 0;
    answerInPlace(bytes);
    this.#handlers?.onFrames(bytes);
  }

  pauseReading(): void {}
  resumeReading(): void {}
  close(): void {
    queueMicrotask(() => this.#handlers?.onClose({ code: 1000, reason: "" }));
  }
  abandon(): void {
    this.close();
  }
}

/** Runs in a process of its own; says where it listens in its first line of output. */
async function runPeer(): Promise<void> {
  const authority = await createAuthority({ cluster: "bench", random });
  const { certPem, keyPem } = await issueServerCertificate(authority, { names: ["127.0.0.1"] });
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    certPem,
    keyPem,
    clock,
    log: silentLog,
    handle: () => new Response(),
    join: () =>
      Promise.resolve((channel) =>
        channel.start({
          onControl: () => channel.sendControl(welcome),
          onFrames(bytes) {
            answerInPlace(bytes);
            channel.sendFrames(bytes);
          },
          onClose: () => Deno.exit(0),
        })
      ),
  });
  console.log(JSON.stringify({ port: listener.port, caPem: authority.caCertPem }));
}

/** The peer process's first line; it ends with the connection. */
async function startPeer(): Promise<{ port: number; caPem: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", import.meta.filename!, "peer"],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return JSON.parse(text);
}

/** User and system time of this process, in µs. */
function cpuUs(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** What a request is made of. */
interface Kind {
  what: string;
  input: unknown;
  options?: InvokeOptions;
}

function kindsOf(bytes: number): Kind[] {
  const input = new Uint8Array(bytes).fill(97);
  return [
    { what: "bytes", input },
    { what: "bytes, deadline", input, options: { timeoutMs: 10_000 } },
    { what: "JSON", input: { text: "a".repeat(bytes - 11) } },
  ];
}

async function measure(sqwish: Sqwish, where: string, kind: Kind, outstanding: number, seconds: number) {
  const { what, input, options } = kind;
  let done = 0;
  async function drive(endMs: number): Promise<void> {
    while (performance.now() < endMs) {
      for (let i = 0; i < 50; i++) await sqwish.invoke("bench/echo", input, options);
      done += 50;
    }
  }
  const run = (ms: number) => {
    const endMs = performance.now() + ms;
    return Promise.all(Array.from({ length: outstanding }, () => drive(endMs)));
  };
  await run(300);
  done = 0;
  const [startedMs, startedUs] = [performance.now(), cpuUs()];
  await run(seconds * 1000);
  const elapsedMs = performance.now() - startedMs;
  const us = (cpuUs() - startedUs) / done;
  console.log(
    `${where.padEnd(8)} × ${String(outstanding).padStart(3)} ${what.padEnd(15)}: ` +
      `${us.toFixed(2)} µs per request, ${Math.round(done / elapsedMs * 1000)} requests/s`,
  );
}

async function open(dial: () => Promise<Channel>): Promise<Sqwish> {
  const sqwish = new Sqwish({ clock, random, version: "0.0.0", dial, enroll: () => false });
  await sqwish.open(5000);
  return sqwish;
}

if (Deno.args[0] === "peer") {
  await runPeer();
} else {
  const [sizes = "64,8192", outstanding = "64,256", seconds = "1"] = Deno.args;
  const peer = await startPeer();
  const memory = await open(() => Promise.resolve(new MirrorChannel()));
  const tls = await open(() =>
    dialWebSocket({ host: "127.0.0.1", ...peer, path: joinPath, headers: {}, timeoutMs: 5000 })
  );
  for (const bytes of sizes.split(",").map(Number)) {
    console.log(`${bytes} B`);
    for (const count of outstanding.split(",").map(Number)) {
      for (const kind of kindsOf(bytes)) {
        await measure(memory, "memory", kind, count, Number(seconds));
        await measure(tls, "over TLS", kind, count, Number(seconds));
      }
    }
  }
  await Promise.all([memory.close(), tls.close()]);
}
