/**
 * What an HTTP connection writes: the head of an answer, and web responses as bytes. Answers are whole, but for
 * server-sent events, which go out as they come.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { limits } from "../../limits.ts";
import type { SqwishError } from "../../errors.ts";
import { errorHeaders } from "../api/http_error.ts";

export interface AnswerHead {
  status: number;
  /** Header lines, each with its line end. */
  lines: string;
  /** Bytes that follow; null: they come in pieces. */
  bodyBytes: number | null;
  keepsAlive: boolean;
}

/** Header lines that are the same for a second. */
export class CommonLines {
  #second = 0;
  #date = "";

  at(nowMs: number, keepsAlive: boolean): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
    }
    return this.#date + (keepsAlive ? keepAliveLines : "Connection: close\r\n");
  }
}

const keepAliveLines = `Connection: keep-alive\r\nKeep-Alive: timeout=${limits.httpIdleMsMax / 1000}\r\n`;
const noBytes = Buffer.alloc(0);

/** Head and body as the bytes of one write. */
export function encodeAnswer(head: AnswerHead, common: string, body: Uint8Array = noBytes): Buffer {
  const length = head.bodyBytes === null ? "" : `Content-Length: ${head.bodyBytes}\r\n`;
  const text = `HTTP/1.1 ${head.status} ${STATUS_CODES[head.status] ?? "unknown"}\r\n${head.lines}${common}` +
    `${length}\r\n`;
  const bytes = Buffer.allocUnsafe(text.length + body.length);
  // Of ASCII, which nearly all are, both are the same; the runtime is six times as quick with the one.
  const isAscii = Buffer.byteLength(text) === text.length;
  bytes.write(text, 0, isAscii ? "utf8" : "latin1");
  bytes.set(body, text.length);
  return bytes;
}

/** An error's header lines and body. `fromPage`: see `isFromPage`. */
export function errorAnswer(error: SqwishError, fromPage: boolean): { lines: string; body: Buffer } {
  const lines = Object.entries(errorHeaders(error, fromPage)).map(([name, value]) => `${name}: ${value}\r\n`);
  return { lines: lines.join(""), body: Buffer.from(JSON.stringify(error)) };
}

/** A web response's header lines; each cookie has its own. */
export function linesOf(headers: Headers): string {
  let lines = "";
  for (const [name, value] of headers) {
    if (name !== "content-length" && name !== "connection") lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

export function isEventStream(response: Response): boolean {
  return response.body !== null && !!response.headers.get("content-type")?.includes("text/event-stream");
}

/** One chunk of a chunked body (RFC 9112, section 7.1). */
export function encodeChunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

export const lastChunk = Buffer.from("0\r\n\r\n");
