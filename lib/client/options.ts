/**
 * Where to connect and as whom: what the caller says, then the environment, then the stored profile, field by field.
 * Pure; `connect.ts` reads the environment and the file, and only when something is left open.
 */
import { SqwishError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import { parseAddress } from "../security/server_names.ts";
import { parseToken } from "../security/token.ts";
import type { Profile } from "./profile.ts";

export const portDefault = 7443;

export interface ConnectOptions {
  /** `https://host:port` or `host:port`; the port is 7443 when left out. */
  url?: string;
  /** Several of them, tried in turn. */
  addresses?: string[];
  /** The cluster's certificate authority, as PEM … */
  caPem?: string;
  /** … or the SHA-256 fingerprint it must have (64 hexadecimal digits). */
  fingerprint?: string;
  user?: string;
  password?: string;
  /** A client's join token instead of all of the above. The connection then gets credentials of its own. */
  token?: string;
  /**
   * Profile to read, and to write after joining with a token; `false` for none. The command line's own profile
   * is read when left out.
   */
  profileFile?: string | false;
  /** The first connection is tried for this long, and at least once at each address; 10 000 when left out. */
  connectTimeoutMs?: number;
}

/** Everything known before the first attempt. Exactly one of `caPem` and `fingerprint` is needed. */
export interface Target {
  addresses: string[];
  caPem?: string;
  fingerprint?: string;
  user: string;
  password: string;
  /** True: these are a token's, to be exchanged for credentials of its own. */
  enroll: boolean;
}

export type Environment = (name: string) => string | undefined;

/** Throws `invalid_request` naming what is missing and how to give it. */
export function resolveTarget(
  options: ConnectOptions,
  environment: Environment,
  profile: Profile | undefined,
): Target {
  if (options.token !== undefined) return tokenTarget(options.token, options);
  const given = options.addresses ?? (options.url === undefined ? undefined : [options.url]);
  const url = environment("SQWISH_URL");
  const addresses = (given ?? (url ? [url] : undefined))?.map(addressOf) ?? profile?.addresses ?? [];
  const user = options.user ?? environment("SQWISH_USER") ?? profile?.user;
  // A password belongs to its user: the profile's is of no use for another one.
  const stored = profile && profile.user === user ? profile.password : undefined;
  const password = options.password ?? environment("SQWISH_PASSWORD") ?? stored;
  const fingerprint = options.fingerprint ?? environment("SQWISH_FINGERPRINT");
  const caPem = options.caPem ?? (fingerprint === undefined ? profile?.caPem : undefined);
  if (addresses.length === 0) {
    throw missing("a manager to connect to", "`client login --join TOKEN` or SQWISH_URL");
  }
  if (user === undefined) throw missing("a user name", "`client login` or SQWISH_USER");
  if (password === undefined) throw missing(`the password of ${user}`, "`client login` or SQWISH_PASSWORD");
  if (caPem === undefined && fingerprint === undefined) {
    throw missing(
      "the cluster's certificate authority",
      "`client login`, or SQWISH_FINGERPRINT with the fingerprint the manager prints",
    );
  }
  return {
    addresses,
    caPem,
    fingerprint: fingerprint && canonicalFingerprint(fingerprint),
    user,
    password,
    enroll: false,
  };
}

/** True when the options leave nothing to look up elsewhere. */
export function isComplete(options: ConnectOptions): boolean {
  return options.token !== undefined ||
    ((options.url ?? options.addresses) !== undefined && options.user !== undefined &&
      options.password !== undefined && (options.caPem ?? options.fingerprint) !== undefined);
}

function tokenTarget(text: string, options: ConnectOptions): Target {
  const token = parseToken(text, "client");
  if (token.role !== "client") {
    throw new SqwishError(
      "invalid_request",
      "A client needs a client's join token, this one is for agents; `manager token client` prints one",
    );
  }
  const addresses = options.addresses ?? (options.url === undefined ? undefined : [options.url]);
  return {
    addresses: addresses?.map(addressOf) ?? token.addresses,
    fingerprint: token.fingerprint,
    user: token.user,
    password: token.password,
    enroll: true,
  };
}

/** `https://pi.local`, `wss://pi.local:7443/` or `pi.local:7443` as `host:port`. */
export function addressOf(url: string): string {
  const bare = url.trim().replace(/^(https|wss):\/\//, "");
  if (bare.includes("://")) {
    throw new SqwishError(
      "invalid_request",
      `A manager's address starts with https:// or nothing, is ${url}`,
    );
  }
  const authority = bare.replace(/\/.*$/, "");
  const hasPort = /^(\[[^\]]*\]|[^:]*):\d+$/.test(authority);
  const { host, port } = parseAddress(hasPort ? authority : `${authority}:${portDefault}`);
  return formatAddress(host, port);
}

/** People copy fingerprints with colons and in upper case. Throws `invalid_request` for anything but a SHA-256. */
export function canonicalFingerprint(text: string): string {
  const hex = text.replace(/[\s:]/g, "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw new SqwishError(
      "invalid_request",
      "A fingerprint is a SHA-256 of 64 hexadecimal digits, this is not",
    );
  }
  return hex;
}

function missing(what: string, how: string): SqwishError {
  return new SqwishError("invalid_request", `Connecting needs ${what}; give it with ${how}`);
}
