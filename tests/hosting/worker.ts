/** What requests meet inside a runner, for tests: without a process, a socket or a Worker. */
import { BodyPool } from "../../lib/hosting/body_pool.ts";
import { createClaims } from "../../lib/hosting/claims.ts";
import { AnswerWriter } from "../../lib/hosting/answer_writer.ts";
import type { InvocationHost } from "../../lib/hosting/invocation.ts";
import { type LoadedModules, loadModules } from "../../lib/hosting/module_loader.ts";
import { createModuleLog } from "../../lib/hosting/module_log.ts";
import { OutgoingCalls } from "../../lib/hosting/outgoing_calls.ts";
import { createUserErrorReader } from "../../lib/hosting/user_error.ts";
import { WorkerRequests } from "../../lib/hosting/worker_requests.ts";
import { concatBytes, decodeFrame, encodeFrame, type Frame, Op } from "../../lib/protocol/frame.ts";
import { specificationOf } from "../support/hosted.ts";
import { ManualClock } from "../support/manual_clock.ts";

/** The Worker's side of a runner without its Worker: `makeExports` gives what the module exports. */
export async function worker(makeExports: (spend: (ms: number) => void) => Record<string, unknown>) {
  const clock = new ManualClock();
  let spentMs = 0;
  const lines: [string, string | undefined][] = [];
  const answers: Frame[] = [];
  const sink = {
    bufferedBytes: 0,
    heldBytes: 0,
    sendFrames: (bytes: Uint8Array, at = 0, end = bytes.length) =>
      void answers.push(decodeFrame(bytes.slice(at, end))),
  };
  const log = createModuleLog(clock, (_level, text, requestId) => lines.push([text, requestId]));
  const calls = new OutgoingCalls((frame) => sink.sendFrames(frame));
  const host: InvocationHost = {
    clock: {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs() + spentMs,
      after: (delayMs, action) => clock.after(delayMs, action),
      every: (periodMs, action) => clock.every(periodMs, action),
    },
    env: {},
    log,
    errors: createUserErrorReader("file:///none/", []),
    sink,
    writer: new AnswerWriter(sink),
    bodies: new BodyPool(),
    invoke: (caller, endpoint, input, options) => calls.invoke(caller, endpoint, input, options),
  };
  const claims = createClaims();
  const requests = new WorkerRequests(host, claims, calls);
  const { modules } = specificationOf({ "m.js": "" }).specification;
  const loaded: LoadedModules = await loadModules(
    modules,
    () => Promise.resolve(makeExports((ms) => spentMs += ms)),
  );
  function send(...frames: Uint8Array[]): boolean {
    const bytes = concatBytes(frames);
    return requests.onFrames(bytes, 0, bytes.length);
  }
  return { clock, lines, answers, sink, log, claims, requests, loaded, send };
}

export function request(id: number, endpoint: string, flags = 0, input?: unknown): Uint8Array {
  const requestId = id.toString(16).padStart(16, "0");
  const body = input === undefined ? undefined : new TextEncoder().encode(JSON.stringify(input));
  return encodeFrame({
    op: Op.request,
    id,
    flags,
    a: 10_000,
    b: 1,
    requestId,
    name: `set/${endpoint}`,
    body,
  });
}
