/**
 * The stored profile: which cluster, where, and the credentials `client login` was given. One JSON file that only
 * its owner may read, replaced whole. `SQWISH_PROFILE` names another file.
 */
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { SqwishError } from "../errors.ts";

const profileSchema = v.object({
  cluster: v.string(),
  /** `host:port`, the one that answered last first. */
  addresses: v.pipe(v.array(v.string()), v.minLength(1)),
  caPem: v.string(),
  user: v.string(),
  password: v.string(),
});
export type Profile = v.InferOutput<typeof profileSchema>;

/** `$SQWISH_PROFILE`, or `sqwish/profile.json` in `$XDG_CONFIG_HOME` or `~/.config`. */
export function profilePath(environment: (name: string) => string | undefined): string {
  const named = environment("SQWISH_PROFILE");
  if (named) return named;
  const home = environment("HOME") ?? environment("USERPROFILE") ?? ".";
  return join(environment("XDG_CONFIG_HOME") || join(home, ".config"), "sqwish", "profile.json");
}

/** Undefined when there is none. Throws `invalid_request` for a file that is not a profile. */
export async function readProfile(path: string): Promise<Profile | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    throw new SqwishError("invalid_request", `The profile ${path} can't be read`, { cause });
  }
  try {
    return v.parse(profileSchema, JSON.parse(text));
  } catch (cause) {
    // Without the cause: a JSON error quotes the text, which holds a password.
    const at = cause instanceof v.ValiError ? v.getDotPath(cause.issues[0]) : null;
    throw new SqwishError(
      "invalid_request",
      `The profile ${path} is damaged${at ? ` (\`${at}\`)` : ""}; sign in again with \`client login\``,
    );
  }
}

/** Replaces the file in one step; mode 0600 from its first byte on, its folder 0700 when it is made here. */
export async function writeProfile(path: string, profile: Profile): Promise<void> {
  await besideProfile(path, JSON.stringify(profile, null, 2) + "\n", (whole) => rename(whole, path));
}

/** Throws as `writeProfile` would; leaves the file as it is. */
export async function requireWritableProfile(path: string): Promise<void> {
  await besideProfile(path, "", async () => {
    if (await stat(path).then((found) => found.isDirectory(), () => false)) throw new Error("It is a folder");
  });
}

async function besideProfile(
  path: string,
  text: string,
  action: (whole: string) => Promise<void>,
): Promise<void> {
  let workshop: string | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // A folder of its own beside the file: two programs may store the same profile at once.
    workshop = await mkdtemp(`${path}.new-`);
    const whole = join(workshop, "profile.json");
    await writeFile(whole, text, { mode: 0o600 });
    await action(whole);
  } catch (cause) {
    throw new SqwishError("invalid_request", `The profile can't be written to ${path}`, { cause });
  } finally {
    if (workshop !== undefined) await rm(workshop, { recursive: true, force: true });
  }
}
