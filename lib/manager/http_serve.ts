/**
 * HTTP requests of node:http as web requests and back: listener → here → the hono app. Bodies are read whole, within
 * bounds for one and for all together; answers are written whole but for server-sent events.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import { concatBytes } from "../protocol/frame.ts";
import { joinPath } from "../protocol/messages.ts";
import { checkUpgrade } from "../protocol/websocket_accept.ts";

export interface HttpOptions {
  log: Log;
  /** `remoteAddress` is the peer's IP address. */
  handle(request: Request, remoteAddress: string): Promise<Response> | Response;
}

/** A whole set, in base64. */
const deployBytesMax = Math.ceil(limits.setBytesMax * 4 / 3) + limits.controlBytesMax;
const deployPath = "/v1/replicasets";
/** An input with some to spare, so that the route itself can say what is too much of it. */
const requestBytesMax = limits.bodyBytesMax + limits.controlBytesMax;

/** Bytes of bodies now in memory: they are read before anyone knows who sends them. */
export class Bodies {
  #bytes = 0;

  /** Counts `difference` bytes; false when there are more than may be. */
  hold(difference: number): boolean {
    this.#bytes += difference;
    return this.#bytes <= limits.httpBodiesBytesMax;
  }
}

/** Answers one request. Never rejects. */
export async function serveHttp(
  options: HttpOptions,
  bodies: Bodies,
  request: IncomingMessage,
  response: ServerResponse,
  remoteAddress: string,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  let heldBytes = 0;
  const hold = (bytes: number) => {
    heldBytes += bytes;
    if (!bodies.hold(bytes)) throw tooManyBodies();
  };
  try {
    const body = await readBody(request, hold);
    const asked = webRequest(request, body, gone.signal);
    // An upgrade would not have come here; the check says what is missing.
    if (new URL(asked.url).pathname === joinPath) checkUpgrade(request);
    const answer = await options.handle(asked, remoteAddress);
    bodies.hold(-heldBytes);
    heldBytes = 0;
    await writeResponse(answer, response, gone.signal);
  } catch (thrown) {
    bodies.hold(-heldBytes);
    const error = asSqwishError(thrown, "The request");
    if (error.code === "internal") {
      options.log.error("request failed", { path: request.url, error: error.cause });
    }
    if (response.headersSent || response.destroyed) return void response.destroy();
    response.writeHead(error.http, { "content-type": "application/json" });
    response.end(JSON.stringify(error));
  }
}

/** Throws `invalid_request` for an address, a method or headers that no request may have. */
function webRequest(request: IncomingMessage, body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Request {
  try {
    const url = new URL(request.url ?? "/", `https://${request.headers.host ?? "manager"}`);
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (value !== undefined && !name.startsWith(":")) {
        headers.set(name, Array.isArray(value) ? value.join(", ") : value);
      }
    }
    const hasBody = body.length > 0 && request.method !== "GET" && request.method !== "HEAD";
    return new Request(url, { method: request.method, headers, body: hasBody ? body : null, signal });
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** For what is no request at all. */
export function unreadable(cause: unknown): SqwishError {
  return new SqwishError(
    "invalid_request",
    "The manager reads HTTP requests whose method, path and headers are well-formed, this is not one",
    { cause },
  );
}

/** `hold` is told of each chunk before it is kept, and throws when it may not be. */
async function readBody(
  request: IncomingMessage,
  hold: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  // Some of the runtimes served never end the stream of a request that has no body.
  if (request.headers["content-length"] === undefined && request.headers["transfer-encoding"] === undefined) {
    return new Uint8Array(0);
  }
  const declared = Number(request.headers["content-length"] ?? 0);
  const bytesMax = request.url === deployPath ? deployBytesMax : requestBytesMax;
  if (declared > bytesMax) throw tooLarge(declared, bytesMax);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      if (length > bytesMax) throw tooLarge(length, bytesMax);
      hold(chunk.length);
      chunks.push(chunk);
    }
  } catch (thrown) {
    if (thrown instanceof SqwishError) throw thrown;
    throw new SqwishError("cancelled", "The HTTP client went away before its request was whole", {
      cause: thrown,
      details: { mayHaveRun: "no" },
    });
  }
  return concatBytes(chunks);
}

function tooLarge(length: number, bytesMax: number): SqwishError {
  return new SqwishError(
    "too_large",
    `A request body takes at most ${bytesMax} bytes, this one has ${length}`,
  );
}

function tooManyBodies(): SqwishError {
  return new SqwishError(
    "queue_full",
    `The manager holds at most ${limits.httpBodiesBytesMax} bytes of requests at once; try again in a second`,
    { details: { retryAfterMs: 1000, mayHaveRun: "no" } },
  );
}

async function writeResponse(answer: Response, response: ServerResponse, gone: AbortSignal): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of answer.headers) {
    if (name !== "set-cookie") headers[name] = value;
  }
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  if (answer.body === null) {
    response.writeHead(answer.status, headers);
    response.end();
    return;
  }
  if (!headers["content-type"]?.includes("text/event-stream")) {
    const bytes = new Uint8Array(await answer.arrayBuffer());
    headers["content-length"] = String(bytes.length);
    response.writeHead(answer.status, headers);
    response.end(bytes);
    return;
  }
  response.writeHead(answer.status, headers);
  response.flushHeaders?.();
  const reader = answer.body.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  // The client may have gone while the answer was made; its abort has then been and comes no more.
  if (gone.aborted) cancel();
  else gone.addEventListener("abort", cancel);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!response.write(value)) await drained(response, gone);
  }
  response.end();
}

/** Resolves when more may be written, or nobody is there to write to. */
function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done);
    gone.addEventListener("abort", done);
  });
}
