/**
 * The Web Worker in a runner, with only the permissions its replicaSet lists. It opens the agent's unix socket
 * itself, so that requests reach user code with no thread in between: agent → frame → claim → invocation → frame.
 * Control messages go through the runner's main thread (control.ts). User code shares this realm; what it breaks
 * here it breaks for its own replica only.
 */
import { createSystemClock } from "../clock.ts";
import type { ErrorCode } from "../errors.ts";
import {
  type CancelReason,
  decodeFrame,
  encodeFrame,
  type Frame,
  frameA,
  frameId,
  frameOp,
  Op,
} from "../protocol/frame.ts";
import { claim, type Claims } from "./claims.ts";
import { type MessageFromRunner, type StartMessage } from "./control.ts";
import { FrameSocket } from "./frame_socket.ts";
import { errorFrame, Invocation, type InvocationHost } from "./invocation.ts";
import { type LoadedModules, loadModules, ModuleRefused } from "./module_loader.ts";
import { captureConsole, createModuleLog, type ModuleLog } from "./module_log.ts";
import { OutgoingCalls } from "./outgoing_calls.ts";
import type { WorkerStart } from "./runner.ts";
import { blockExits } from "./exits.ts";
import { createUserErrorReader, type UserErrorReader } from "./user_error.ts";

/** The Worker's own realm; the compiler's library knows only the window's. */
interface WorkerRealm {
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: never) => void, options?: AddEventListenerOptions): void;
}

/** Requests run one after the other for at most this long before the event loop gets a turn. */
const turnMsMax = 5;

const realm = globalThis as unknown as WorkerRealm;
const postMessage = realm.postMessage.bind(realm);
const clock = createSystemClock();

function tell(message: MessageFromRunner): void {
  postMessage(message);
}

realm.addEventListener("message", (event: MessageEvent<WorkerStart>) => void main(event.data), {
  once: true,
});

async function main({ start, claims }: WorkerStart): Promise<void> {
  const log = createModuleLog(
    clock,
    (level, text, requestId) => tell({ type: "log", level, text, requestId }),
  );
  const folderUrl = new URL(`file://${start.folder}/`).href;
  const errors = createUserErrorReader(folderUrl, start.modules);
  let loaded: LoadedModules | undefined;
  realm.addEventListener("message", (event: MessageEvent<{ type: string }>) => {
    if (event.data.type === "stop") void runStop(loaded, log, errors);
  });
  try {
    const server = await connect(start, claims, log, errors);
    captureConsole(log);
    blockExits();
    reportStrays(log, errors);
    tell({ type: "online" });
    loaded = await loadModules(start.modules, (module) => importModule(folderUrl, module, log));
    tell({ type: "imported" });
    for (const hook of loaded.ready) {
      try {
        await hook.run();
      } catch (thrown) {
        throw new ModuleRefused(`ready() of ${hook.source}: ${errors.read(thrown).message}`);
      }
    }
    server.serve(loaded);
    tell({
      type: "loaded",
      endpoints: [...loaded.endpoints.values()].map((endpoint) => endpoint.description),
    });
  } catch (thrown) {
    const { message, stack } = errors.read(thrown);
    const where = thrown instanceof ModuleRefused || !stack ? "" : ` (${stack.split("\n")[0]})`;
    tell({ type: "failed", reason: message + where });
  }
}

async function importModule(
  folderUrl: string,
  module: StartMessage["modules"][number],
  log: ModuleLog,
): Promise<Record<string, unknown>> {
  const url = new URL(module.path.split("/").map(encodeURIComponent).join("/"), folderUrl);
  try {
    if (module.kind === "js") return await import(url.href);
    const { loadWasm } = await import("./wasm.ts");
    return await loadWasm(await Deno.readFile(url), (line) => log.write("info", [line]));
  } catch (thrown) {
    if (module.kind === "wasm") {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new ModuleRefused(`${module.source} is not a plug-in that can be loaded: ${why}`);
    }
    throw thrown;
  }
}

/** Ends the process through the main thread once every module's `stop()` is over; the agent bounds the time. */
async function runStop(
  loaded: LoadedModules | undefined,
  log: ModuleLog,
  errors: UserErrorReader,
): Promise<void> {
  for (const hook of loaded?.stop ?? []) {
    try {
      await hook.run();
    } catch (thrown) {
      log.write("error", [`stop() of ${hook.source}: ${errors.read(thrown).message}`]);
    }
  }
  tell({ type: "stopped" });
}

/** What user code throws outside of any request is logged; it must not cost the requests that run. */
function reportStrays(log: ModuleLog, errors: UserErrorReader): void {
  function report(thrown: unknown): void {
    const { message, stack } = errors.read(thrown);
    log.write("error", [`uncaught: ${message}${stack ? `\n${stack}` : ""}`]);
  }
  realm.addEventListener("unhandledrejection", (event: PromiseRejectionEvent) => {
    event.preventDefault();
    report(event.reason);
  });
  realm.addEventListener("error", (event: ErrorEvent) => {
    event.preventDefault();
    report(event.error);
  });
}

/** A request that waits for its turn; without its frame when that can't be read. */
interface Queued {
  id: number;
  frame: Frame | null;
}

/** Names and headers come from any client and pass the manager unread: what is wrong with them is the client's error. */
function decodeRequest(bytes: Uint8Array, at: number): Frame | null {
  try {
    return decodeFrame(bytes, at);
  } catch {
    return null;
  }
}

interface Server {
  /** Requests before this are held. */
  serve(loaded: LoadedModules): void;
}

async function connect(
  start: StartMessage,
  claims: Claims,
  log: ModuleLog,
  errors: UserErrorReader,
): Promise<Server> {
  let loaded: LoadedModules | undefined;
  const running = new Map<number, Invocation>();
  const cancelledInQueue = new Set<number>();
  const queue: Queued[] = [];
  let pumping = false;

  const send = (frame: Uint8Array) => socket.sendFrames(frame);
  const calls = new OutgoingCalls(send);
  const host: InvocationHost = {
    clock,
    env: Object.freeze({ ...start.env }),
    log,
    errors,
    send,
    invoke: (caller, endpoint, input, options) => calls.invoke(caller, endpoint, input, options),
  };

  function refuse(id: number, code: ErrorCode, message: string): void {
    send(errorFrame(id, { code, message, details: { mayHaveRun: "no" } }));
  }

  function begin({ id, frame }: Queued): void {
    const cancelled = cancelledInQueue.delete(id);
    if (!claim(claims, id)) return;
    if (cancelled) return refuse(id, "cancelled", "The caller gave up on the request");
    if (!frame) return refuse(id, "invalid_request", "A request's name and headers must be UTF-8");
    const name = frame.name.slice(frame.name.indexOf("/") + 1);
    const endpoint = loaded!.endpoints.get(name);
    if (!endpoint) return refuse(id, "not_found", `${frame.name} is not an endpoint of this revision`);
    const invocation = new Invocation(host, frame, endpoint);
    running.set(id, invocation);
    void invocation.run().then(() => running.delete(id));
  }

  async function pump(): Promise<void> {
    pumping = true;
    let turnAtMs = clock.monotonicMs();
    for (let next = queue.shift(); next; next = queue.shift()) {
      begin(next);
      if (queue.length > 0 && clock.monotonicMs() - turnAtMs > turnMsMax) {
        await new Promise<void>((resolve) => clock.after(0, resolve));
        turnAtMs = clock.monotonicMs();
      }
    }
    pumping = false;
  }

  function onFrame(bytes: Uint8Array, at: number, end: number): void {
    const id = frameId(bytes, at);
    switch (frameOp(bytes, at)) {
      case Op.request:
        queue.push({ id, frame: decodeRequest(bytes, at) });
        if (loaded && !pumping) void pump();
        break;
      case Op.cancel: {
        const reason = frameA(bytes, at) as CancelReason;
        const invocation = running.get(id);
        if (invocation) invocation.cancel(reason);
        else if (queue.some((queued) => queued.id === id)) cancelledInQueue.add(id);
        break;
      }
      case Op.credit:
        running.get(id)?.addCredit(frameA(bytes, at));
        break;
      case Op.reply:
      case Op.error:
        calls.settle(decodeFrame(bytes, at));
        break;
      case Op.call:
        // The agent asks whether this event loop still turns.
        send(bytes.slice(at, end));
        break;
    }
  }

  const stream = await Deno.connect({ transport: "unix", path: start.socketPath });
  // The agent's end is gone: the main thread sees its standard input end and exits.
  const socket = new FrameSocket(stream, { onFrame, onClose: () => {} });
  send(encodeFrame({ op: Op.call, id: 0, name: start.secret }));
  return {
    serve(modules) {
      loaded = modules;
      void pump();
    },
  };
}
