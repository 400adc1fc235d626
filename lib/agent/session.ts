/**
 * One connection of an agent to its manager: hello → welcome → desired state in, state and telemetry out, request
 * frames to the hosting and answers back. A new connection is a new session; the hosting outlives them all.
 */
import type { Clock } from "../clock.ts";
import { asSqwishError, SqwishError } from "../errors.ts";
import type { Hosting } from "../hosting/hosting.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { CancelReason, forEachFrame, frameA, frameId, frameOp, Op } from "../protocol/frame.ts";
import {
  type AgentHello,
  encodeMessage,
  errorOfBye,
  type LogLine,
  type MessageToManager,
  parseMessageToPeer,
  type Telemetry,
  type Welcome,
} from "../protocol/messages.ts";
import { fitReports } from "./reports.ts";
import type { UpstreamCalls } from "./upstream.ts";

export interface SessionOptions {
  clock: Clock;
  channel: Channel;
  hello: AgentHello;
  hosting: Hosting;
  calls: UpstreamCalls;
  /** The telemetry of this moment, but for its number. */
  telemetry(): Omit<Telemetry, "type" | "sequence">;
  /** Log lines since the last call. */
  takeLogs(): LogLine[];
  onWelcome(welcome: Welcome): void;
}

export interface AgentSession {
  /** Sends the state of all replicas; nothing before the welcome. */
  sendState(): void;
  /** Tells the manager that this agent is about to leave, and why. */
  sayGoodbye(message: string): void;
  /** Closes the connection; what runs is not waited for. */
  leave(message: string): void;
  /** Settles when the connection is over: with the manager's refusal, or the reason it ended. */
  readonly ended: Promise<SqwishError>;
}

export function openSession(options: SessionOptions): AgentSession {
  const { clock, channel, hosting, calls } = options;
  const ended = Promise.withResolvers<SqwishError>();
  let welcomed = false;
  let farewell: SqwishError | null = null;
  let lastHeardMs = clock.monotonicMs();
  let receivedBytes = 0;
  let sequence = 0;

  const send = (message: MessageToManager) => channel.sendControl(encodeMessage(message));
  const stopTicking = clock.every(limits.telemetryMs, () => {
    // A module may take longer to come over a slow link than a dead manager takes to be noticed.
    if (channel.receivedBytes !== receivedBytes) lastHeardMs = clock.monotonicMs();
    receivedBytes = channel.receivedBytes;
    const silentMs = clock.monotonicMs() - lastHeardMs;
    if (silentMs > (welcomed ? limits.managerLostAfterMs : limits.handshakeMsMax)) {
      return channel.abandon(`the manager has been silent for ${Math.round(silentMs)} ms`);
    }
    if (!welcomed) return;
    send({ type: "telemetry", sequence: ++sequence, ...options.telemetry() });
    const lines = options.takeLogs();
    if (lines.length > 0) send({ type: "logs", lines });
  });

  function sendState(): void {
    if (!welcomed) return;
    send(fitReports({ type: "state", generation: hosting.generation, replicas: hosting.reports() }));
  }

  function receive(text: string): void {
    const message = parseMessageToPeer(text);
    switch (message.type) {
      case "welcome":
        welcomed = true;
        calls.attach(channel);
        return options.onWelcome(message);
      case "desired":
        hosting.apply(message);
        return sendState();
      case "bye":
        farewell = errorOfBye(message);
        return;
      case "pong":
        return;
    }
  }

  function receiveFrames(message: Uint8Array, nowMs: number): void {
    forEachFrame(message, (at, end) => {
      switch (frameOp(message, at)) {
        case Op.request:
          return hosting.request(message, at, end, channel, nowMs);
        case Op.cancel:
          return hosting.cancel(frameId(message, at), channel, cancelReason(frameA(message, at)));
        case Op.credit:
          return hosting.credit(frameId(message, at), frameA(message, at), channel);
        case Op.reply:
        case Op.part:
        case Op.error:
          return calls.answer(message, at, end);
        default:
          throw new SqwishError(
            "invalid_request",
            `A manager may not send operation ${frameOp(message, at)}`,
          );
      }
    });
  }

  channel.start({
    onControl: (text) => heard(() => receive(text)),
    onFrames: (message) => heard((nowMs) => receiveFrames(message, nowMs)),
    onDrain: () => hosting.resume(),
    onMalformed: (error) =>
      heard(() => {
        throw error;
      }),
    onClose(close) {
      stopTicking();
      hosting.forget(channel);
      calls.detach(channel);
      ended.resolve(farewell ?? new SqwishError("manager_lost", close.reason || "the connection closed"));
    },
  });
  send(fitReports(options.hello));

  function heard(action: (nowMs: number) => void): void {
    lastHeardMs = clock.monotonicMs();
    receivedBytes = channel.receivedBytes;
    try {
      action(lastHeardMs);
    } catch (thrown) {
      // Whatever it was, the modules must go on; a new connection starts clean.
      farewell = asSqwishError(thrown, "A message of the manager");
      channel.abandon(farewell.message);
    }
  }

  return {
    sendState,
    sayGoodbye(message) {
      if (welcomed) send({ type: "bye", code: "leaving", message });
    },
    // Callers wait for the replies that are still on their way.
    leave: (message) => channel.close(1001, message, limits.closeTransferMsMax),
    ended: ended.promise,
  };
}

function cancelReason(a: number): CancelReason {
  return a === CancelReason.deadline ? CancelReason.deadline : CancelReason.caller;
}
