/**
 * The main thread of a runner process. It never runs user code: it reads the agent's control lines (control.ts),
 * starts one Web Worker with only the permissions that the specification lists, and stays able to answer
 * while the Worker is busy. Requests go from the agent straight to the Worker.
 * Standard input ends when the agent does, even if that was killed; the runner then exits at once.
 */
import { type Claims, createClaims, revoke } from "./claims.ts";
import {
  encodeLine,
  type MessageFromRunner,
  type MessageToRunner,
  readLines,
  type StartMessage,
} from "./control.ts";

/** First message to the Worker. */
export interface WorkerStart {
  start: StartMessage;
  claims: Claims;
}

/** Runs a runner until its agent ends it. Called by the agent's executable when its first argument is `runner`. */
export async function runnerMain(): Promise<never> {
  let claims: Claims | undefined;
  let worker: Worker | undefined;
  for await (const line of readLines(Deno.stdin.readable)) {
    const message = JSON.parse(line) as MessageToRunner;
    if (message.type === "start") {
      claims = createClaims();
      worker = startWorker(message, claims);
    } else if (message.type === "revoke" && claims) {
      send({ type: "revoked", through: message.through, claimed: revoke(claims, message.through) });
    } else if (message.type === "stop") {
      worker?.postMessage({ type: "stop" });
    }
  }
  Deno.exit(0);
}

function startWorker(start: StartMessage, claims: Claims): Worker {
  // Libraries that read the environment find what the specification lists; the process started with none.
  for (const name of start.permissions.env ?? []) {
    if (Object.hasOwn(start.env, name)) Deno.env.set(name, start.env[name]);
  }
  // The literal form below is what `deno compile --bundle` looks for to embed the Worker.
  const worker = new Worker(new URL("./runner_worker.ts", import.meta.url), {
    type: "module",
    name: start.replicaSet,
    deno: { permissions: workerPermissions(start, Deno.version.deno) },
  } as WorkerOptions);
  worker.onmessage = (event: MessageEvent<MessageFromRunner>) => {
    send(event.data);
    if (event.data.type === "stopped") Deno.exit(0);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    send({ type: "failed", reason: event.message });
    Deno.exit(1);
  };
  worker.postMessage({ start, claims } satisfies WorkerStart);
  return worker;
}

/** Names that the plug-in library asks for when it is loaded; the runner's environment holds neither. */
const pluginEnv = ["EXTISM_ENABLE_WASI_OUTPUT", "__MINIMATCH_TESTING_PLATFORM__"];

/**
 * The Worker's permissions: what is listed, its own folder and its socket. From 2.9 on a unix socket needs a `net`
 * entry beside read and write of its path, which earlier versions refuse to parse.
 */
export function workerPermissions(
  start: Pick<StartMessage, "permissions" | "socketPath" | "folder" | "modules">,
  denoVersion: string,
): Deno.PermissionOptionsObject {
  const { permissions, socketPath, folder } = start;
  const [major, minor] = denoVersion.split(".").map(Number);
  const socketNeedsNet = major > 2 || minor >= 9;
  const net = [...permissions.net ?? [], ...(socketNeedsNet ? [`unix:${socketPath}`] : [])];
  const env = [...permissions.env ?? []];
  if (start.modules.some((module) => module.kind === "wasm")) env.push(...pluginEnv);
  return {
    net: net.length > 0 ? net : false,
    read: [folder, socketPath, ...permissions.read ?? []],
    write: [socketPath, ...permissions.write ?? []],
    env: env.length > 0 ? env : false,
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
}

function send(message: MessageFromRunner): void {
  const bytes = new TextEncoder().encode(encodeLine(message));
  // Synchronous, so that a last line is out before the process ends.
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
