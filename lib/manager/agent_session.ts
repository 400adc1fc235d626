/**
 * One joined agent: its control messages go to the registry, the metrics and the deployment, its frames to the
 * dispatcher. On the way: join → here ⇄ agent; replies pass through with no look at their bodies.
 */
import type { Agents } from "../cluster/agents.ts";
import { SqwishError } from "../errors.ts";
import type { Channel, ChannelClose } from "../protocol/channel.ts";
import { encodeFrame, forEachFrame, frameA, frameId, frameName, frameOp, Op } from "../protocol/frame.ts";
import {
  type AgentHello,
  byeOf,
  encodeMessage,
  type LogLine,
  parseMessageToManager,
  type Telemetry,
} from "../protocol/messages.ts";
import { CloseCode } from "../protocol/rfc6455.ts";
import type { Dispatcher, Requester } from "../scheduling/dispatcher.ts";
import type { RecordEvent } from "./events.ts";
import type { Session } from "./join.ts";
import { counted } from "../words.ts";

export interface AgentSessionOptions {
  agents: Agents;
  dispatcher: Dispatcher;
  /** A module's bytes by SHA-256. */
  module(sha256: string): Uint8Array | undefined;
  /** The registry changed: deployment and routes need another look. */
  changed(agent: string): void;
  /** The agent has been welcomed and takes its desired state from now on. */
  welcomed(agent: string): void;
  /** The agent's connection is gone. */
  left(agent: string): void;
  observeTelemetry(agent: string, telemetry: Telemetry): void;
  observeLogs(agent: string, lines: LogLine[]): void;
  record: RecordEvent;
  /** Notes the join in the store, and as which user; tells whether the agent is cordoned or drained from before. */
  remember(hello: AgentHello, account: string): { cordoned: boolean; draining: boolean };
  observeSeen(agent: string): void;
}

/** Throws `conflict` when another agent holds the name. */
export function openAgentSession(
  options: AgentSessionOptions,
  channel: Channel,
  hello: AgentHello,
  account: string,
): Session {
  const { agents, dispatcher } = options;
  const name = hello.name;
  const joined = agents.join(hello, channel);
  if (joined.replaced && joined.replaced !== channel) {
    // Its own end comes later and finds that it is no longer the current one.
    dispatcher.agentGone(name, "its connection was replaced by a newer one");
    options.left(name);
    // In words, for when it is a copy of the agent, which should not come back at full speed.
    const error = new SqwishError(
      "conflict",
      `Another connection of the same agent ${name} has taken its place`,
    );
    joined.replaced.sendControl(encodeMessage(byeOf(error)));
    joined.replaced.close(CloseCode.policyViolation, error.message);
  }
  agents.setFlags(name, options.remember(hello, account));
  // Modules may invoke any endpoint: what a cluster runs is trusted with what it offers.
  const requester: Requester = {
    id: `agent ${name} ${hello.identity}`,
    describe: `modules on ${name}`,
    agent: name,
    mayInvoke: () => true,
    sink: channel,
  };
  options.record(
    "info",
    joined.kind === "new" ? "agent_joined" : "agent_returned",
    name,
    `Agent ${name} ${joined.kind === "new" ? "joined" : "is back"} from ${channel.remoteAddress}: ` +
      `${counted(hello.cores, "core")}, ${
        hello.labels.arch ?? "unknown architecture"
      }, version ${hello.version}`,
  );
  return {
    start() {
      // First what this connection has shown, then requests over it: an earlier one may have shown more.
      options.welcomed(name);
      dispatcher.agentConnected(name, channel);
    },
    onControl: (text) => receiveControl(options, channel, name, text),
    onFrames(message) {
      // A reply is a sign of life too: an agent that is late with its telemetry but answers is busy, not gone.
      agents.observeTraffic(name, channel);
      const nowMs = dispatcher.nowMs();
      forEachFrame(message, (at, end) => {
        // Nearly all are replies.
        if (frameOp(message, at) === Op.reply) dispatcher.answer(name, message, at, end, nowMs);
        else receiveFrame(options, channel, name, requester, message, at, end);
      });
    },
    onDrain: () => dispatcher.drained(),
    onClose: (close) => gone(options, channel, name, requester, close),
  };
}

function receiveControl(options: AgentSessionOptions, channel: Channel, name: string, text: string): void {
  const message = parseMessageToManager(text);
  switch (message.type) {
    case "state":
      if (options.agents.observeState(name, channel, message)) options.changed(name);
      return;
    case "telemetry": {
      const change = options.agents.observeTelemetry(name, channel, message);
      channel.sendControl(encodeMessage({ type: "pong", sequence: message.sequence }));
      options.observeTelemetry(name, message);
      if (change) {
        options.record(
          "info",
          "agent_ready",
          name,
          `Agent ${name} reports again: ${change.from} → ${change.to}`,
        );
        options.changed(name);
      }
      return;
    }
    case "logs":
      return options.observeLogs(name, message.lines);
    case "ping":
      return channel.sendControl(encodeMessage({ type: "pong", sequence: message.sequence }));
    case "bye":
      options.agents.observeLeaving(name, channel);
      return options.record("info", "agent_leaving", name, `Agent ${name} says goodbye: ${message.message}`);
    case "hello":
      throw new SqwishError("invalid_request", "hello is said once");
  }
}

function receiveFrame(
  options: AgentSessionOptions,
  channel: Channel,
  name: string,
  requester: Requester,
  message: Uint8Array,
  at: number,
  end: number,
): void {
  const { dispatcher } = options;
  switch (frameOp(message, at)) {
    case Op.reply:
    case Op.part:
    case Op.error:
      return dispatcher.answer(name, message, at, end);
    case Op.request:
      return dispatcher.admit(requester, message, at, end);
    case Op.cancel:
      return dispatcher.cancel(requester, frameId(message, at));
    case Op.credit:
      return dispatcher.credit(requester, frameId(message, at), frameA(message, at));
    case Op.fetch:
      return sendModule(options, channel, frameId(message, at), frameName(message, at));
    default:
      throw new SqwishError("invalid_request", `An agent may not send operation ${frameOp(message, at)}`);
  }
}

function sendModule(options: AgentSessionOptions, channel: Channel, id: number, sha256: string): void {
  const bytes = options.module(sha256);
  if (bytes) return channel.sendFrames(encodeFrame({ op: Op.reply, id, body: bytes }));
  const meta = JSON.stringify({
    code: "not_found",
    message: `No module has the SHA-256 ${sha256}`,
    details: {},
  });
  channel.sendFrames(encodeFrame({ op: Op.error, id, meta }));
}

function gone(
  options: AgentSessionOptions,
  channel: Channel,
  name: string,
  requester: Requester,
  close: ChannelClose,
): void {
  options.dispatcher.requesterGone(requester);
  const current = options.agents.get(name)?.connection === channel;
  const change = options.agents.disconnect(name, channel);
  if (!current) return;
  options.dispatcher.agentGone(name, close.reason || "its connection closed");
  options.observeSeen(name);
  if (change) {
    options.record("warn", "agent_lost", name, `Agent ${name} is lost: ${close.reason || change.reason}`);
  }
  options.left(name);
}
