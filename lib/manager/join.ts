/**
 * The join: an upgrade request is authenticated, becomes a channel, says `hello` in time and is handed to the agent
 * or client session. Whoever fails on the way gets one clear error and costs nothing more.
 */
import type { Clock } from "../clock.ts";
import { asSqwishError, describeError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Channel, ChannelHandlers } from "../protocol/channel.ts";
import type { RequestHead } from "../protocol/http_head.ts";
import {
  type AgentHello,
  byeOf,
  encodeMessage,
  type Hello,
  parseMessageToManager,
  protocolVersion,
  type Welcome,
} from "../protocol/messages.ts";
import { CloseCode } from "../protocol/rfc6455.ts";
import { type Principal, requireAllowed } from "../security/access.ts";
import { parseBasic } from "./api/sign_in.ts";
import type { Peers } from "./peers.ts";

/** What takes a joined channel over: its handlers from `hello` on. */
export interface Session extends ChannelHandlers {
  /** The peer has been welcomed. */
  start(): void;
}

export interface JoinOptions {
  clock: Clock;
  log: Log;
  version: string;
  cluster: string;
  managerInstance: string;
  addresses(): string[];
  authenticate(attempt: { user: string; password: string; address: string }): Promise<Principal>;
  /**
   * Exchanges a join token for credentials of the machine's own; throws for anyone but a token, or one used up.
   * `requirePresent` is called right before the token is used up, and throws when nobody is left to be answered.
   */
  enroll(
    by: Principal,
    machine: string,
    requirePresent: () => void,
  ): Promise<{ user: string; password: string }>;
  /** Those who have been welcomed. */
  peers: Pick<Peers, "add" | "remove">;
  /** Lets an agent in, or throws when its name is taken. */
  openAgent(channel: Channel, hello: AgentHello, principal: Principal): Session;
  openClient(channel: Channel, principal: Principal): Session;
}

/** The listener's join handler: resolves with what takes the channel of who has shown who it is. */
export function createJoin(options: JoinOptions) {
  return async (request: RequestHead, remoteAddress: string): Promise<(channel: Channel) => void> => {
    try {
      const principal = await authenticate(options, request, remoteAddress);
      return (channel) => awaitHello(options, channel, principal);
    } catch (thrown) {
      const error = asSqwishError(thrown, "Joining");
      options.log.info("join refused", { address: remoteAddress, code: error.code, reason: error.message });
      throw error;
    }
  };
}

async function authenticate(
  options: JoinOptions,
  request: RequestHead,
  address: string,
): Promise<Principal> {
  const [scheme, value] = (request.headers.get("authorization") ?? "").split(" ", 2);
  if (!/^basic$/i.test(scheme) || value === undefined) {
    throw new SqwishError("unauthenticated", "A join needs Authorization: Basic with user and password");
  }
  return await options.authenticate({ ...parseBasic(value), address });
}

/** Starts the channel. Until the session is open it only takes one `hello`. */
export function awaitHello(options: JoinOptions, channel: Channel, principal: Principal): void {
  /** Takes messages, once it has been welcomed. */
  let session: Session | null = null;
  /** Must be told of the end, welcomed or not. */
  let entered: Session | null = null;
  let greeted = false;
  const cancelTimer = options.clock.after(limits.handshakeMsMax, () => {
    refuse(
      channel,
      new SqwishError("invalid_request", `A peer must say hello within ${limits.handshakeMsMax} ms`),
    );
  });
  const guarded = (action: () => void) => {
    try {
      action();
    } catch (thrown) {
      const error = asSqwishError(thrown, "The message");
      const level = error.code === "internal" ? "error" : "warn";
      options.log[level]("a peer's message was refused, closing", {
        peer: principal.name,
        error: describeError(thrown),
      });
      refuse(channel, error);
    }
  };
  channel.start({
    onControl: (text) =>
      guarded(() => {
        if (text.length > limits.controlBytesMax) {
          throw new SqwishError(
            "too_large",
            `A control message takes at most ${limits.controlBytesMax} bytes, this one has ${text.length}`,
          );
        }
        if (session) return session.onControl(text);
        const message = parseMessageToManager(text);
        if (message.type !== "hello" || greeted) {
          throw new SqwishError("invalid_request", `The first message must be hello, is ${message.type}`);
        }
        greeted = true;
        cancelTimer();
        greet(options, channel, message, principal, (one) => entered = one).then(
          (one) => session = one,
          (thrown) => {
            options.log.info("join refused", { peer: principal.name, reason: describeError(thrown) });
            refuse(channel, asSqwishError(thrown, "Joining"));
          },
        );
      }),
    onFrames: (message) =>
      guarded(() => {
        if (!session) throw framesFirst();
        session.onFrames(message);
      }),
    onMalformed: (error) =>
      guarded(() => {
        throw session ? error : framesFirst();
      }),
    onClose: (close) => {
      cancelTimer();
      options.peers.remove(channel);
      guarded(() => entered?.onClose(close));
    },
    onDrain: () => session?.onDrain?.(),
  });
}

function framesFirst(): SqwishError {
  return new SqwishError("invalid_request", "The first message must be hello, got frames");
}

async function greet(
  options: JoinOptions,
  channel: Channel,
  hello: Hello,
  principal: Principal,
  entered: (session: Session) => void,
): Promise<Session> {
  if (hello.protocol !== protocolVersion) {
    throw new SqwishError(
      "version_mismatch",
      `This manager (${options.version}) speaks protocol ${protocolVersion}, the peer (${hello.version}) speaks ` +
        `${hello.protocol}; install the same version on both`,
    );
  }
  requireAllowed(principal, hello.role === "agent" ? "join_agent" : "join_client");
  if (principal.once && !hello.enroll) {
    throw new SqwishError(
      "forbidden",
      "A join token for one use must be enrolled; join with this program's --join",
    );
  }
  // An agent is let in first: a name that is taken must not use the token up.
  const session = hello.role === "agent"
    ? options.openAgent(channel, hello, principal)
    : options.openClient(channel, { ...principal, once: false });
  entered(session);
  const machine = hello.role === "agent" ? hello.name : "client";
  const requirePresent = () => {
    // An older connection's welcome must not be taken for that of the one that replaced it.
    if (channel.closed) throw new SqwishError("cancelled", "The peer went away before its welcome");
  };
  const credentials = hello.enroll ? await options.enroll(principal, machine, requirePresent) : undefined;
  requirePresent();
  const welcome: Welcome = {
    type: "welcome",
    protocol: protocolVersion,
    version: options.version,
    cluster: options.cluster,
    managerInstance: options.managerInstance,
    addresses: options.addresses(),
    nowMs: options.clock.nowMs(),
    ...(credentials ? { credentials } : {}),
  };
  channel.sendControl(encodeMessage(welcome));
  // With its own credentials it no longer depends on the token.
  options.peers.add(channel, credentials?.user ?? principal.name);
  session.start();
  return session;
}

/** Says why, then closes. */
export function refuse(channel: Channel, error: SqwishError): void {
  channel.sendControl(encodeMessage(byeOf(error)));
  channel.close(CloseCode.policyViolation, error.message);
}
