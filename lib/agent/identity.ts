/**
 * What an agent remembers between starts, in its data folder: its name, its identity, where the manager was last, the
 * credentials of its own and what it was told of itself. One file, mode 0600, replaced whole; runners can't read it.
 */
import { rename, rm } from "node:fs/promises";
import * as v from "valibot";
import { SqwishError } from "../errors.ts";
import { nameSchema } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { parseToken } from "../security/token.ts";

const identitySchema = v.object({
  name: v.string(),
  /** Random; tells this agent from another one of the same name. */
  identity: v.pipe(v.string(), v.minLength(16)),
  addresses: v.pipe(v.array(v.string()), v.minLength(1)),
  caPem: v.optional(v.string()),
  fingerprint: v.optional(v.string()),
  user: v.string(),
  password: v.string(),
  /** True: user and password are a join token's, not yet exchanged. */
  enroll: v.boolean(),
  /** From `--label` and `--concurrency` of the last start that had them. */
  labels: v.optional(v.record(v.string(), v.string())),
  concurrency: v.optional(v.number()),
});
export type AgentIdentity = v.InferOutput<typeof identitySchema>;

const fileName = "identity.json";

/** Undefined when this folder has never joined. Throws `invalid_request` for a damaged or unreadable file. */
export async function readIdentity(folder: string): Promise<AgentIdentity | undefined> {
  const path = `${folder}/${fileName}`;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new SqwishError("invalid_request", `The agent's identity in ${path} can't be read`, { cause });
  }
  try {
    return v.parse(identitySchema, JSON.parse(text));
  } catch {
    // Without the cause: a JSON error quotes the text, which holds a password.
    throw new SqwishError(
      "invalid_request",
      `The agent's identity in ${path} is damaged; remove the file and join with --join TOKEN`,
    );
  }
}

/** Throws `invalid_request` when the folder can't be written. */
export async function writeIdentity(folder: string, identity: AgentIdentity): Promise<void> {
  const path = `${folder}/${fileName}`;
  await inDataFolder(folder, async () => {
    await Deno.writeTextFile(`${path}.new`, JSON.stringify(identity, null, 2) + "\n", { mode: 0o600 });
    await rename(`${path}.new`, path);
  });
}

/** Runs `write` with the data folder made. Throws `invalid_request` when that can't be written. */
export async function inDataFolder<Result>(folder: string, write: () => Promise<Result>): Promise<Result> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o711 });
    return await write();
  } catch (cause) {
    const message = `The agent's data folder ${folder} can't be written; choose another with --data`;
    throw new SqwishError("invalid_request", message, { cause });
  }
}

/** Forgets a join that was refused. */
export async function removeIdentity(folder: string): Promise<void> {
  await rm(`${folder}/${fileName}`, { force: true });
}

/** The identity that joining with this token makes; a known name and identity of the folder stay. */
export function identityFromToken(
  text: string,
  options: { name: string; known?: AgentIdentity; random: Random },
): AgentIdentity {
  const token = parseToken(text);
  if (token.role !== "agent") {
    throw new SqwishError(
      "invalid_request",
      "An agent needs an agent's join token, this one is for clients; `manager token agent` prints one",
    );
  }
  return {
    name: options.name,
    identity: options.known?.identity ??
      Array.from(options.random.secret(16), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    addresses: token.addresses,
    fingerprint: token.fingerprint,
    user: token.user,
    password: token.password,
    enroll: true,
  };
}

/** What is wrong with a name for an agent; undefined: nothing. */
export function nameProblem(name: string): string | undefined {
  return v.safeParse(nameSchema, name).issues?.[0].message;
}

/** A machine's host name as an agent's name: lower case, without what names may not have. */
export function agentNameOf(hostname: string): string {
  const name = hostname.toLowerCase().replace(/[^a-z0-9.-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 63);
  return name.replace(/[^a-z0-9]+$/, "") || "agent";
}
