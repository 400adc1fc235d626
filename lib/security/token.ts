/**
 * Join tokens: one word, printed by the manager, pasted on a machine that shall join. It says where the
 * manager is, which certificate authority is the right one, and a user with a password to sign in with.
 * Form: `sqwish1_` and the base64url (RFC 4648, section 5) of checksum (4 bytes), fingerprint (32), JSON.
 * Nothing in this alphabet means anything to a shell or a chat. The checksum finds slips, not forgeries.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as v from "valibot";
import { SqwishError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import { parseAddress } from "./server_names.ts";

export interface JoinToken {
  /** Where the manager can be reached, `host:port`, the best first. */
  addresses: string[];
  /** SHA-256 of the authority's certificate, hexadecimal (`fingerprintOf()`). */
  fingerprint: string;
  user: string;
  password: string;
  role: "agent" | "client";
  /** Wall-clock ms after which the manager refuses it; never when absent. */
  expiresAtMs?: number;
}

const formVersion = 1;
const checksumBytes = 4;
const fingerprintBytes = 32;
const addressesMax = 64;

const rest = v.tupleWithRest(
  [
    v.picklist(["agent", "client"]),
    v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
    v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
    v.pipe(v.number(), v.integer(), v.minValue(0)),
    v.pipe(v.string(), v.maxLength(300)),
  ],
  v.pipe(v.string(), v.maxLength(300)),
);

/** Writes a token. Throws `invalid_request` for addresses or fingerprints that `parseToken` would refuse. */
export function encodeToken(token: JoinToken): string {
  const fingerprint = Buffer.from(token.fingerprint, "hex");
  if (fingerprint.length !== fingerprintBytes || token.fingerprint.length !== 2 * fingerprintBytes) {
    throw new SqwishError(
      "invalid_request",
      "A join token needs a SHA-256 fingerprint of 64 hexadecimal digits",
    );
  }
  const [first, ...others] = canonicalAddresses(token.addresses);
  const fields = [token.role, token.user, token.password, token.expiresAtMs ?? 0, first, ...others];
  const content = Buffer.concat([fingerprint, Buffer.from(JSON.stringify(fields))]);
  const prefix = `sqwish${formVersion}_`;
  return prefix + Buffer.concat([checksumOf(prefix, content), content]).toString("base64url");
}

/**
 * Reads a token. White space is dropped wherever it is: terminals wrap long words.
 * Throws `invalid_request`, telling apart what is no token, what was cut or mistyped, and what is newer than
 * this program. `wanted` is the kind that the manager is to be asked for instead.
 */
export function parseToken(text: string, wanted: JoinToken["role"] = "agent"): JoinToken {
  const word = text.replace(/\s+/g, "");
  const match = /^(sqwish(\d{1,4})_)(.*)$/.exec(word);
  if (!match) {
    throw new SqwishError(
      "invalid_request",
      `A join token must start with "sqwish1_", this text does not; \`manager token ${wanted}\` prints one`,
    );
  }
  const [, prefix, version, encoded] = match;
  if (Number(version) > formVersion) {
    throw new SqwishError(
      "invalid_request",
      `This join token has form ${version}, this program reads form ${formVersion}; the token was made by a newer ` +
        "version of Sqwish, so update this program",
    );
  }
  const bytes = Buffer.from(encoded, "base64url");
  const content = bytes.subarray(checksumBytes);
  // Written anew and compared, because the decoder skips characters that it doesn't know.
  if (
    bytes.toString("base64url") !== encoded || content.length <= fingerprintBytes ||
    !checksumOf(prefix, content).equals(bytes.subarray(0, checksumBytes))
  ) {
    throw new SqwishError(
      "invalid_request",
      `This join token's checksum does not fit its ${word.length} characters: it was cut or mistyped; copy it whole`,
    );
  }
  return parseContent(content);
}

function parseContent(content: Buffer): JoinToken {
  const fingerprint = content.subarray(0, fingerprintBytes).toString("hex");
  let fields: unknown;
  try {
    fields = JSON.parse(content.subarray(fingerprintBytes).toString());
  } catch (cause) {
    throw new SqwishError("invalid_request", "This join token's content can't be read; make a new one", {
      cause,
    });
  }
  const result = v.safeParse(rest, fields);
  if (!result.success) {
    throw new SqwishError(
      "invalid_request",
      `This join token's content is not what this program expects (field ${
        v.getDotPath(result.issues[0]) ?? "list"
      }); make a new one`,
    );
  }
  const [role, user, password, expiresAtMs, first, ...others] = result.output;
  return {
    addresses: canonicalAddresses([first, ...others]),
    fingerprint,
    user,
    password,
    role,
    ...(expiresAtMs > 0 && { expiresAtMs }),
  };
}

function canonicalAddresses(addresses: readonly string[]): string[] {
  if (addresses.length < 1 || addresses.length > addressesMax) {
    throw new SqwishError(
      "invalid_request",
      `A join token must carry 1 to ${addressesMax} addresses of the manager, has ${addresses.length}`,
    );
  }
  return addresses.map((address) => {
    const { host, port } = parseAddress(address);
    return formatAddress(host, port);
  });
}

function checksumOf(prefix: string, content: Uint8Array): Buffer {
  return createHash("sha256").update(prefix).update(content).digest().subarray(0, checksumBytes);
}
