/**
 * Trust on first use: gets the manager's authority certificate over an unverified connection, and
 * accepts it only when its fingerprint is the one in the join token. From then on it is pinned.
 * Invariants: nothing secret is ever sent here; nothing but the one matching certificate is ever returned.
 * HTTP/1.0 by hand over node:tls, because node:https of Deno 2.6 can't leave the check out.
 */
import { Buffer } from "node:buffer";
import { connect, type TLSSocket } from "node:tls";
import { type Clock, createSystemClock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { managerServerName } from "../protocol/messages.ts";
import { fingerprintOf, firstCertificatePem } from "./certificates.ts";
import { constantTimeEqual } from "./digest.ts";
import { formatAddress } from "../address.ts";

const path = "/ca.pem";
const answerBytesMax = 64 * 1024;

export interface FetchAuthorityOptions {
  host: string;
  port: number;
  /** SHA-256 of the certificate, hexadecimal, from the join token. */
  fingerprint: string;
  /** For everything together. */
  timeoutMs: number;
  clock?: Clock;
}

/**
 * Resolves with the authority's certificate as PEM. Throws `unauthenticated` when it isn't the one expected,
 * `manager_lost` when there is no manager to talk to, `deadline_exceeded` after `timeoutMs`.
 */
export async function fetchAuthority(options: FetchAuthorityOptions): Promise<string> {
  const at = formatAddress(options.host, options.port);
  const text = await get(options, at);
  let found: string;
  try {
    found = fingerprintOf(text);
  } catch (cause) {
    throw unreachable(
      `The program at ${at} answered ${path} without a certificate; it may be no manager`,
      cause,
    );
  }
  if (!constantTimeEqual(found, options.fingerprint.toLowerCase())) {
    throw new SqwishError(
      "unauthenticated",
      `The manager at ${at} has another certificate authority (fingerprint ${found}) than the join token names ` +
        `(${options.fingerprint}); it may be another cluster or someone in between`,
      { details: { found, expected: options.fingerprint } },
    );
  }
  // A second certificate hidden behind the right one must not become trusted with it.
  return firstCertificatePem(text);
}

/** Resolves with the body of the answer. */
async function get(options: FetchAuthorityOptions, at: string): Promise<string> {
  const { host, port, timeoutMs, clock = createSystemClock() } = options;
  const socket = connect({
    host,
    port,
    servername: managerServerName,
    // The fingerprint is what is trusted, not the connection.
    rejectUnauthorized: false,
  });
  const expired = Promise.withResolvers<never>();
  const cancelTimeout = clock.after(timeoutMs, () => {
    expired.reject(
      new SqwishError(
        "deadline_exceeded",
        `The manager at ${at} must answer within ${timeoutMs} ms, it did not`,
        {
          details: { mayHaveRun: "no" },
        },
      ),
    );
  });
  try {
    return parseAnswer(await Promise.race([exchange(socket, at), expired.promise]), at);
  } finally {
    cancelTimeout();
    socket.destroy();
  }
}

/** Asks, and resolves with everything that came until the server ended the connection. */
function exchange(socket: TLSSocket, at: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    socket.on("secureConnect", () => {
      // In HTTP/1.0 the answer is never in chunks, and the connection ends with it.
      socket.write(`GET ${path} HTTP/1.0\r\nHost: ${managerServerName}\r\nConnection: close\r\n\r\n`);
    });
    socket.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= answerBytesMax) return;
      reject(
        unreachable(
          `The program at ${at} answered with more than ${answerBytesMax} bytes; it may be no manager`,
        ),
      );
    });
    function finish(cause?: NodeJS.ErrnoException): void {
      // Some servers end without TLS's closing alert; the fingerprint tells whether all of it arrived.
      if (bytes > 0) resolve(Buffer.concat(chunks).toString());
      else reject(unreachable(connectionMessage(at, cause?.code), cause));
    }
    socket.on("end", () => finish());
    socket.on("error", finish);
    socket.on("close", () => finish());
  });
}

function parseAnswer(answer: string, at: string): string {
  const status = /^HTTP\/1\.\d (\d{3})/.exec(answer)?.[1] ?? "no status";
  const bodyAt = answer.indexOf("\r\n\r\n");
  if (status === "200" && bodyAt > 0) return answer.slice(bodyAt + 4);
  throw unreachable(`The program at ${at} answered ${path} with HTTP ${status}; it may be no manager`);
}

function connectionMessage(at: string, code: string | undefined): string {
  switch (code) {
    case "ECONNREFUSED":
      return `Nothing listens at ${at}; the manager may be down or have another port`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `The name in ${at} can't be resolved`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `There is no way through the network to ${at}`;
    default:
      return `The TLS connection to ${at} broke off; it may be no manager`;
  }
}

function unreachable(message: string, cause?: unknown): SqwishError {
  return new SqwishError("manager_lost", message, { details: { mayHaveRun: "no" }, cause });
}
