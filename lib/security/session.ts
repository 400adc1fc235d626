/**
 * Signed sessions for the dashboard's cookie and for Bearer tokens. The manager keeps none of them: a session
 * says who, until when, and a tag of the password it was opened with, under the manager's HMAC (RFC 2104).
 * Invariant: a changed password or a removed user ends all of the user's sessions at once.
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import * as v from "valibot";
import { SqwishError } from "../errors.ts";
import { constantTimeEqual, sha256Hex } from "./digest.ts";

export interface Session {
  name: string;
  /** Wall-clock ms. */
  expiresAtMs: number;
}

const form = "s1";
const sessionCharactersMax = 2048;
const content = v.strictTuple([v.string(), v.number(), v.string()]);

/** What a session remembers of a password: enough to see that it changed, useless for finding it out. */
export function credentialTag(passwordHash: string): string {
  return sha256Hex(`sqwish credential tag\n${passwordHash}`).slice(0, 16);
}

/** Opens a session; the text is safe in cookies and headers. `key` has at least 32 random bytes. */
export function issueSession(
  facts: { name: string; key: Uint8Array; nowMs: number; lifetimeMs: number; credentialTag: string },
): string {
  const fields = [facts.name, facts.nowMs + facts.lifetimeMs, facts.credentialTag];
  const body = `${form}.${Buffer.from(JSON.stringify(fields)).toString("base64url")}`;
  return `${body}.${signatureOf(body, facts.key)}`;
}

/**
 * Who the session belongs to. `credentialTagOf` gives undefined for a user that is gone. Throws
 * `unauthenticated`.
 */
export function verifySession(
  text: string,
  facts: { key: Uint8Array; nowMs: number; credentialTagOf: (name: string) => string | undefined },
): Session {
  const [name, expiresAtMs, tag] = parseSigned(text, facts.key);
  if (facts.nowMs >= expiresAtMs) {
    throw new SqwishError(
      "unauthenticated",
      `This session ended at ${new Date(expiresAtMs).toISOString()}; sign in again`,
    );
  }
  const currentTag = facts.credentialTagOf(name);
  if (currentTag === undefined || !constantTimeEqual(currentTag, tag)) {
    throw new SqwishError(
      "unauthenticated",
      "This session was opened by a user who was removed or has another password now; sign in again",
    );
  }
  return { name, expiresAtMs };
}

function parseSigned(text: string, key: Uint8Array): v.InferOutput<typeof content> {
  const end = text.lastIndexOf(".");
  const body = text.slice(0, Math.max(0, end));
  const isSigned = text.length <= sessionCharactersMax && body.startsWith(`${form}.`) &&
    constantTimeEqual(text.slice(end + 1), signatureOf(body, key));
  if (!isSigned) {
    throw new SqwishError("unauthenticated", "A session must be one that this manager signed; sign in again");
  }
  // Signed by this manager, so anything unexpected here is a defect of its own.
  return v.parse(content, JSON.parse(Buffer.from(body.slice(form.length + 1), "base64url").toString()));
}

function signatureOf(body: string, key: Uint8Array): string {
  return createHmac("sha256", key).update(`sqwish session\n${body}`).digest("base64url");
}
