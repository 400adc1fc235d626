/**
 * Plain `POST /v1/invoke/…` requests without a web request for each: HTTP connection → sign-in → frame → dispatcher,
 * and the reply as one write. This takes a fraction of the hono app's time; it answers what is left.
 */
import { describeError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import {
  decodeFrame,
  encodeFrame,
  Flag,
  frameA,
  frameB,
  frameBodyAt,
  frameFlags,
  frameOp,
  frameRequestId,
  Op,
} from "../../protocol/frame.ts";
import type { RequestHead } from "../../protocol/http_head.ts";
import type { FrameSink, Requester } from "../../scheduling/dispatcher.ts";
import { mayInvoke, type Principal, requireAllowed } from "../../security/access.ts";
import type { InvokeExchange, Responder } from "../http/connection.ts";
import { bytesType, errorOf, inputOf, type InvokePort, requireJson, timingOf } from "./invoke.ts";
import { type InvokeHead, invokeHeadOf } from "./invoke_head.ts";
import type { Standing } from "./sign_in.ts";

export interface InvokeDoorOptions {
  log: Log;
  port: InvokePort;
  /** By the value of an `Authorization` header. */
  signIn(authorization: string, address: string): Promise<{ principal: Principal; standing: Standing }>;
}

/** Opens the door of one connection. */
export function openInvokeExchange(options: InvokeDoorOptions, responder: Responder): InvokeExchange {
  return new Exchange(options, responder);
}

class Exchange implements InvokeExchange {
  readonly #options: InvokeDoorOptions;
  readonly #responder: Responder;
  readonly #sink: FrameSink = {
    sendFrames: (bytes, at = 0, end = bytes.length) => this.#answer(bytes, at, end),
  };
  /** The last head as the connection gave it, and what it asks; null: not for this door. */
  #head: RequestHead | null = null;
  #is: InvokeHead | null = null;
  /** Who sent the last request, and the header that said so. */
  #authorization = "";
  #standing: Standing | null = null;
  #principal: Principal | null = null;
  #requester: Requester | null = null;
  #startedMs = 0;
  #serving = false;
  #closed = false;

  constructor(options: InvokeDoorOptions, responder: Responder) {
    this.#options = options;
    this.#responder = responder;
  }

  serve(head: RequestHead, body: Uint8Array): boolean {
    if (head !== this.#head) {
      this.#head = head;
      this.#is = invokeHeadOf(head);
    }
    const is = this.#is;
    if (is === null) return false;
    this.#serving = true;
    this.#startedMs = this.#options.port.monotonicMs();
    const same = is.authorization === this.#authorization;
    this.#principal = same ? this.#standing?.principal() ?? null : null;
    if (this.#principal) {
      this.#admit(is, body);
      return true;
    }
    this.#signIn(is.authorization).then(() => this.#admit(is, body), (thrown) => this.#fail(thrown));
    return true;
  }

  close(): void {
    this.#closed = true;
    if (this.#serving && this.#requester) this.#options.port.cancel(this.#requester);
  }

  async #signIn(authorization: string): Promise<void> {
    this.#standing = null;
    this.#requester = null;
    const { remoteAddress } = this.#responder;
    const { principal, standing } = await this.#options.signIn(authorization, remoteAddress);
    this.#authorization = authorization;
    this.#standing = standing;
    this.#principal = principal;
    this.#requester = {
      // One user's HTTP requests share a turn in the queue, as those of one connection do.
      id: `http ${principal.name}`,
      describe: principal.name,
      mayInvoke: (endpoint) => mayInvoke(this.#principal!, endpoint),
      sink: this.#sink,
    };
  }

  #admit(is: InvokeHead, body: Uint8Array): void {
    // It may have gone while its password was checked; nothing is run for nobody.
    if (this.#closed) return;
    try {
      requireAllowed(this.#principal!, "invoke");
      if ((is.flags & Flag.bytes) === 0 && body.length > 0) requireJson(body);
      const frame = encodeFrame({
        op: Op.request,
        id: 1,
        flags: is.flags,
        a: is.timeoutMs,
        name: is.endpoint,
        meta: is.meta,
        body: inputOf(is.flags, body),
      });
      this.#options.port.admit(this.#requester!, frame);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** The dispatcher's one outcome. */
  #answer(bytes: Uint8Array, at: number, end: number): void {
    if (frameOp(bytes, at) === Op.error) return this.#fail(errorOf(decodeFrame(bytes, at)));
    const isBytes = (frameFlags(bytes, at) & Flag.bytes) !== 0;
    const totalMs = this.#options.port.monotonicMs() - this.#startedMs;
    const lines = `content-type: ${isBytes ? bytesType : "application/json"}\r\n` +
      `sqwish-timing: ${timingOf(frameB(bytes, at), frameA(bytes, at), totalMs)}\r\n` +
      `sqwish-request-id: ${frameRequestId(bytes, at)}\r\n`;
    this.#serving = false;
    this.#responder.respond(200, lines, bytes.subarray(frameBodyAt(bytes, at), end));
  }

  #fail(thrown: unknown): void {
    this.#serving = false;
    this.#options.log.debug("an invoke failed", { route: "POST /v1/invoke", error: describeError(thrown) });
    this.#responder.fail(thrown);
  }
}
