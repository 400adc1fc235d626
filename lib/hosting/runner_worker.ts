/**
 * The Web Worker in a runner, with only the permissions its replicaSet lists. It opens the agent's unix socket
 * itself, so that requests reach user code with no thread in between: agent → frame → claim → invocation → frame.
 * Control messages go through the runner's main thread (control.ts). User code shares this realm; what it breaks
 * here it breaks for its own replica only.
 */
import { createSystemClock } from "../clock.ts";
import { encodeFrame, Op } from "../protocol/frame.ts";
import { BodyPool } from "./body_pool.ts";
import type { Claims } from "./claims.ts";
import { type MessageFromRunner, type StartMessage } from "./control.ts";
import { FrameSocket } from "./frame_socket.ts";
import { AnswerWriter } from "./answer_writer.ts";
import type { InvocationHost } from "./invocation.ts";
import { type LoadedModules, loadModules, ModuleRefused } from "./module_loader.ts";
import { captureConsole, createModuleLog, type ModuleLog } from "./module_log.ts";
import { OutgoingCalls } from "./outgoing_calls.ts";
import type { WorkerStart } from "./runner.ts";
import { WorkerRequests } from "./worker_requests.ts";
import { blockExits } from "./exits.ts";
import { createUserErrorReader, type UserErrorReader } from "./user_error.ts";

/** The Worker's own realm; the compiler's library knows only the window's. */
interface WorkerRealm {
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: never) => void, options?: AddEventListenerOptions): void;
}

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
    const requests = await connect(start, claims, log, errors);
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
    requests.serve(loaded);
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

/** Opens the socket to the agent and says who this is. */
async function connect(
  start: StartMessage,
  claims: Claims,
  log: ModuleLog,
  errors: UserErrorReader,
): Promise<WorkerRequests> {
  const stream = await Deno.connect({ transport: "unix", path: start.socketPath });
  const socket = new FrameSocket(stream, clock, {
    onFrames: (bytes, at, end) => requests.onFrames(bytes, at, end),
    onDrain: () => requests.onDrain(),
    // The agent's end is gone: the main thread sees its standard input end and exits.
    onClose: () => {},
  });
  const calls = new OutgoingCalls((frame) => socket.sendFrames(frame));
  const host: InvocationHost = {
    clock,
    env: Object.freeze({ ...start.env }),
    log,
    errors,
    sink: socket,
    writer: new AnswerWriter(socket),
    bodies: new BodyPool(),
    invoke: (caller, endpoint, input, options) => calls.invoke(caller, endpoint, input, options),
  };
  const requests = new WorkerRequests(host, claims, calls);
  socket.sendFrames(encodeFrame({ op: Op.call, id: 0, name: start.secret }));
  return requests;
}
