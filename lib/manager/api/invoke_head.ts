/**
 * The head of a plain `POST /v1/invoke/…` request, read strictly (RFC 9112): bytes → here → invoke connection. Pure.
 * Invariant: what is read here has one meaning only, its body one length. Everything else, odd or only rare, is
 * `"other"`: node:http judges it, and every request behind it on the same connection.
 */
import type { Buffer } from "node:buffer";
import { limits } from "../../limits.ts";
import { Flag } from "../../protocol/frame.ts";
import { isFromPage } from "./http_error.ts";
import { bytesType, headerPrefix } from "./invoke.ts";

export interface InvokeHead {
  /** Bytes of the head, the empty line included; the body follows. */
  headBytes: number;
  bodyBytes: number;
  endpoint: string;
  /** The request frame's. */
  flags: number;
  /** 0: the endpoint's own. */
  timeoutMs: number;
  /** JSON of the headers for the module; empty for none. */
  meta: string;
  authorization: string;
  /** A script of a page asks. */
  fromPage: boolean;
}

const headBytesMax = 8 * 1024;
/** Larger bodies are read in pieces and held to a bound by node:http's side. */
export const plainBodyBytesMax = 64 * 1024;

const start = "POST /v1/invoke/";
const requestLine = /^POST \/v1\/invoke\/(\w[\w.-]*\/[\w$]+) HTTP\/1\.1$/;
/** A token, a colon at once behind it, and visible ASCII. */
const fieldLine = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([\t -~]*?)[ \t]*$/;
/** These change how a request is framed, answered or judged. */
const unusual = new Set([
  ...["transfer-encoding", "trailer", "expect", "upgrade", "http2-settings"],
  ...["origin", "cookie"],
]);

/** The head at the start of `bytes`; `"more"` when it may become one with more bytes. */
export function readInvokeHead(bytes: Buffer): InvokeHead | "more" | "other" {
  const begun = bytes.toString("latin1", 0, start.length);
  if (!start.startsWith(begun)) return "other";
  const end = bytes.indexOf("\r\n\r\n", 0, "latin1");
  if (end < 0 && bytes.length <= headBytesMax) return "more";
  if (end < 0 || end > headBytesMax) return "other";
  const [first, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const endpoint = requestLine.exec(first)?.[1];
  const fields = readFields(lines);
  if (endpoint === undefined || fields === null) return "other";
  return headOf(endpoint, fields, end + 4) ?? "other";
}

/** By name in lower case; null when a line is malformed, unusual or there twice. */
function readFields(lines: string[]): Map<string, string> | null {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const match = fieldLine.exec(line);
    if (!match) return null;
    const name = match[1].toLowerCase();
    if (unusual.has(name) || fields.has(name)) return null;
    fields.set(name, match[2]);
  }
  return fields;
}

function headOf(endpoint: string, fields: Map<string, string>, headBytes: number): InvokeHead | null {
  const authorization = fields.get("authorization");
  const bodyBytes = digits(fields.get("content-length"), plainBodyBytesMax);
  const timeoutMs = digits(fields.get("sqwish-timeout-ms") ?? "0", limits.timeoutMsMax);
  const idempotent = fields.get("sqwish-idempotent") ?? "false";
  const isPlain = isHost(fields.get("host")) && authorization !== undefined && bodyBytes !== null &&
    timeoutMs !== null && (timeoutMs > 0 || !fields.has("sqwish-timeout-ms")) &&
    (idempotent === "true" || idempotent === "false") &&
    (fields.get("connection") ?? "keep-alive").toLowerCase() === "keep-alive" &&
    !(fields.get("accept") ?? "").includes("text/event-stream");
  if (!isPlain) return null;
  const isBytes = (fields.get("content-type") ?? "").toLowerCase().startsWith(bytesType);
  const forModule = [...fields].filter(([name]) => name.startsWith(headerPrefix))
    .map(([name, value]) => [name.slice(headerPrefix.length), value]);
  return {
    headBytes,
    bodyBytes,
    endpoint,
    flags: (isBytes ? Flag.bytes : 0) | (idempotent === "true" ? Flag.idempotent : 0),
    timeoutMs,
    meta: forModule.length > 0 ? JSON.stringify(Object.fromEntries(forModule)) : "",
    authorization,
    fromPage: isFromPage(fields.get("sec-fetch-mode")),
  };
}

/** A name or an address, and perhaps a port. */
function isHost(host: string | undefined): boolean {
  return host !== undefined && /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(host);
}

/** A whole number without sign or spaces, at most `max`. */
function digits(text: string | undefined, max: number): number | null {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}
