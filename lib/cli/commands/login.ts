/**
 * `client login`: gets and checks credentials once and stores them as the profile. A join token brings everything
 * with it; a person's user name and password need the cluster's authority to be known or confirmed by a human.
 */
import { readFile } from "node:fs/promises";
import { addressOf, canonicalFingerprint, resolveTarget, type Target } from "../../client/options.ts";
import {
  type Profile,
  profilePath,
  readProfile,
  requireWritableProfile,
  writeProfile,
} from "../../client/profile.ts";
import { SqwishError } from "../../errors.ts";
import { addExamples, type Command, UsageError } from "../arguments.ts";
import type { CommandContext } from "./context.ts";

interface Options {
  join?: string;
  manager?: string;
  user?: string;
  ca?: string;
  fingerprint?: string;
}

export function addLogin(program: Command, context: CommandContext): void {
  const command = program.command("login")
    .description("sign in to a cluster and store the credentials")
    .option(
      "--join <token>",
      "a client's join token, as `manager token client` prints it (with --role operator for deploying)",
    )
    .option("--manager <url>", "the manager's address, e.g. https://attic.local:7443")
    .option("--user <name>", "user name; the password is asked for, or taken from SQWISH_PASSWORD")
    .option("--ca <file>", "the cluster's certificate authority (the manager's /ca.pem)")
    .option("--fingerprint <hex>", "SHA-256 of that certificate, as the manager prints it")
    .action((options: Options) => login(context, options));
  addExamples(command, [
    "client login --join sqwish1_…",
    "client login --manager https://attic.local:7443 --user ada",
    "SQWISH_PASSWORD=… client login --manager attic.local --user ada --ca ca.pem",
  ]);
}

async function login(context: CommandContext, options: Options): Promise<void> {
  const file = profilePath(context.environment);
  const target = options.join === undefined
    ? await personTarget(context, options, file)
    : tokenTarget(options);
  // Before a join makes an account that nobody could use.
  await requireWritableProfile(file);
  let stored: Profile | undefined;
  const sqwish = await context.connectTo(target, {
    connectTimeoutMs: 0,
    async store(profile) {
      await writeProfile(file, profile);
      stored = profile;
    },
  });
  await sqwish.close();
  context.terminal.writeOut(
    `Signed in to ${sqwish.cluster} as ${stored?.user ?? target.user}; stored in ${file}\n`,
  );
}

function tokenTarget(options: Options): Target {
  if (options.user !== undefined || options.ca !== undefined || options.fingerprint !== undefined) {
    throw new UsageError("login takes --join alone or --manager with --user, not both");
  }
  return resolveTarget({ token: options.join, url: options.manager }, () => undefined, undefined);
}

async function personTarget(context: CommandContext, options: Options, file: string): Promise<Target> {
  const url = options.manager ?? context.environment("SQWISH_URL");
  if (url === undefined) throw new UsageError("login needs --join TOKEN, or --manager URL with --user NAME");
  const user = options.user ?? context.environment("SQWISH_USER");
  if (user === undefined) throw new UsageError("login needs --user NAME with --manager");
  const address = addressOf(url);
  const trust = await findTrust(context, options, address, file);
  // Asked for last: nobody should type a password for a cluster that is not the right one.
  const password = context.environment("SQWISH_PASSWORD") ?? askPassword(context, user);
  return { addresses: [address], ...trust, user, password, enroll: false };
}

function askPassword(context: CommandContext, user: string): string {
  const { terminal } = context;
  const password = terminal.isInteractive
    ? terminal.ask(`Password of ${user}: `, { secret: true })
    : undefined;
  if (password) return password;
  throw new UsageError("login needs a password: type it on a terminal, or set SQWISH_PASSWORD");
}

/** Given, or known from an earlier login at this address, or confirmed by the person. */
async function findTrust(
  context: CommandContext,
  options: Options,
  address: string,
  file: string,
): Promise<Pick<Target, "caPem" | "fingerprint">> {
  const fingerprint = options.fingerprint ?? context.environment("SQWISH_FINGERPRINT");
  if (options.ca !== undefined) return { caPem: await readAuthority(options.ca) };
  if (fingerprint !== undefined) return { fingerprint: canonicalFingerprint(fingerprint) };
  // A damaged profile is about to be replaced anyway.
  const profile = await readProfile(file).catch(() => undefined);
  if (profile?.addresses.includes(address)) return { caPem: profile.caPem };
  const { terminal } = context;
  const found = await context.discoverFingerprint(address);
  if (!terminal.isInteractive) {
    throw new UsageError(
      `login must know the cluster's certificate authority; if ${found} is what the manager printed, ` +
        "say so with --fingerprint, or give its file with --ca",
    );
  }
  terminal.writeError(`The manager at ${address} has the certificate authority\n  ${grouped(found)}\n`);
  const answer = terminal.ask("Is that the fingerprint the manager printed? (yes/no) ");
  if (answer?.trim().toLowerCase() !== "yes") {
    throw new SqwishError(
      "unauthenticated",
      "The certificate authority was not confirmed; nothing was sent to it",
    );
  }
  return { fingerprint: found };
}

function grouped(fingerprint: string): string {
  return fingerprint.match(/.{4}/g)?.join(" ") ?? fingerprint;
}

async function readAuthority(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new SqwishError("invalid_request", `The certificate authority ${path} can't be read`, { cause });
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new SqwishError(
      "invalid_request",
      `The certificate authority ${path} must be a PEM certificate, it is not`,
    );
  }
  return text;
}
