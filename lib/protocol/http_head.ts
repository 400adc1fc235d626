/**
 * The head of an HTTP/1 request, read strictly (RFC 9112): bytes → here → the manager's HTTP connection. Pure.
 * Invariant: what is read here has one meaning and its body one length; whatever could be read in two ways, as a
 * proxy in front might, is refused.
 */
import type { Buffer } from "node:buffer";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";

export interface RequestHead {
  /** Bytes of the head, the empty line included; the body follows. */
  headBytes: number;
  /** E.g. `GET`. */
  method: string;
  /** The path with the query, beginning with "/". */
  target: string;
  path: string;
  /** Of HTTP/1.0: a client that knows of no chunks and no second request. */
  isOld: boolean;
  /** By name in lower case; what came more than once is joined with commas. */
  headers: Map<string, string>;
  /** Bytes of the body, or that it comes in chunks. */
  body: number | "chunked";
  /** Another request may follow. */
  keepsAlive: boolean;
  /** The client sends the body when it has been told to. */
  expectsContinue: boolean;
}

const requestLine = /^([!#$%&'*+.^`|~\w-]{1,32}) ([!-~]+) HTTP\/1\.([01])$/;
/** A token, a colon at once behind it, no control characters in the value. Nothing in it can match in two ways, or slowly. */
const fieldLine = /^([!#$%&'*+.^`|~\w-]+):([\t -~\x80-\xff]*)$/;
/** One of these twice would leave a doubt of where the request ends, to whom it goes or who sends it. */
const singular = new Set(["host", "content-length", "transfer-encoding", "authorization", "expect"]);

/** The head at the start of `bytes`, or null when more must come. Throws `invalid_request` or `too_large`. */
export function readRequestHead(bytes: Buffer): RequestHead | null {
  const end = bytes.indexOf("\r\n\r\n", 0, "latin1");
  if (end > limits.httpHeadBytesMax || (end < 0 && bytes.length > limits.httpHeadBytesMax)) {
    throw new SqwishError(
      "too_large",
      `The head of a request takes at most ${limits.httpHeadBytesMax} bytes, this one has more`,
    );
  }
  if (end < 0) return requireBeginning(bytes);
  const [first, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const match = requestLine.exec(first);
  if (!match) throw unreadable(`its first line is ${JSON.stringify(first.slice(0, 100))}`);
  const headers = readFields(lines);
  const isOld = match[3] === "0";
  const host = headers.get("host");
  if (host === undefined ? !isOld : !isHost(host)) {
    throw unreadable("it needs one Host header with a name or an address");
  }
  const expect = headers.get("expect");
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    throw unreadable(`it expects ${JSON.stringify(expect)}, only 100-continue is known`);
  }
  const target = targetOf(match[2]);
  const connection = (headers.get("connection") ?? "").toLowerCase().split(",").map((word) => word.trim());
  return {
    headBytes: end + 4,
    method: match[1],
    target,
    path: /^[^?#]*/.exec(target)![0],
    isOld,
    headers,
    body: bodyOf(headers, isOld),
    keepsAlive: !isOld && !connection.includes("close"),
    expectsContinue: expect !== undefined && !isOld,
  };
}

/** For what is no request at all. */
export function unreadable(why: string): SqwishError {
  return new SqwishError(
    "invalid_request",
    `The manager reads HTTP requests whose method, path and headers are well-formed, this is not one: ${why}`,
  );
}

/** Whoever speaks another protocol is told at once, not after a time-out. */
function requireBeginning(bytes: Buffer): null {
  const line = bytes.toString("latin1", 0, 64);
  if (!/^[!#$%&'*+.^`|~\w-]{0,32}( |$)/.test(line)) throw unreadable("it does not begin with a method");
  return null;
}

function readFields(lines: string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const match = fieldLine.exec(line);
    if (!match) throw unreadable(`a header is ${JSON.stringify(line.slice(0, 100))}`);
    const name = match[1].toLowerCase();
    const value = trimmed(match[2]);
    const before = fields.get(name);
    if (before !== undefined && singular.has(name)) throw unreadable(`it has two ${name} headers`);
    fields.set(name, before === undefined ? value : before + (name === "cookie" ? "; " : ", ") + value);
  }
  return fields;
}

/** Without the white space around it, which is not part of a field's value. */
function trimmed(text: string): string {
  const isSpace = (at: number) => text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9;
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(start)) start++;
  while (end > start && isSpace(end - 1)) end--;
  return text.slice(start, end);
}

/** A proxy's form names the whole address; of that the path counts (RFC 9112, section 3.2.2). */
function targetOf(target: string): string {
  if (target.startsWith("/")) return target;
  const path = /^https?:\/\/[^/?#]+(\/.*)?$/i.exec(target);
  if (!path) throw unreadable(`it asks for ${JSON.stringify(target.slice(0, 100))}, a path begins with "/"`);
  return path[1] ?? "/";
}

function bodyOf(headers: Map<string, string>, isOld: boolean): number | "chunked" {
  const length = headers.get("content-length");
  const encoding = headers.get("transfer-encoding");
  if (encoding !== undefined) {
    if (length !== undefined || isOld || encoding.toLowerCase() !== "chunked") {
      throw unreadable("its body has a Content-Length or Transfer-Encoding: chunked, and only one of them");
    }
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) throw unreadable("its Content-Length is not a whole number");
  return Number(length);
}

/** A name or an address, and perhaps a port. */
function isHost(host: string): boolean {
  return /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(host);
}
