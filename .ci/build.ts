/**
 * `task build [TARGET…]`: compiles manager, agent and client into `dist/<target>/`, with `dist/SHA256SUMS`, and prints
 * their sizes. A target is a name that `deno compile --target` knows; the two Linux ones when none is given.
 *
 * `deno compile` downloads the runtime it embeds. Where that can't be, DENORT_BIN names a file of it for this
 * machine's target (or for the only target asked for), DENORT_BIN_AARCH64_UNKNOWN_LINUX_GNU and its like for others.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type Column, formatTable } from "../lib/cli/tables.ts";
import { v8Flags } from "../lib/v8_flags.ts";

export const programNames = ["manager", "agent", "client"] as const;
export const defaultTargets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
const otherTargets = [
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
];

/** The last compiler for runtimes before 2.9, whose format it writes; newer runtimes are compiled by their own. */
const olderCompiler = "2.8.3";

const root = join(import.meta.dirname!, "..");

/** What one compilation needs to know. */
interface Plan {
  target: string;
  /** The runtime's file; null: `deno compile` downloads it. */
  runtime: string | null;
  compiler: string[];
}

export interface Built {
  target: string;
  program: string;
  path: string;
  sizeBytes: number;
  sha256: string;
}

/** Reads one environment variable. */
type Environment = (name: string) => string | undefined;

/** Compiles the programs for each target into `outFolder`. Throws an Error of one line when a target can't be made. */
export async function build(
  targets: string[],
  outFolder: string,
  environment: Environment = (name) => Deno.env.get(name) || undefined,
): Promise<Built[]> {
  const built: Built[] = [];
  for (const target of targets) {
    const plan = await planTarget(target, targets.length === 1, environment);
    for (const program of programNames) {
      const path = await compile(plan, program, join(outFolder, target));
      await checkMachine(path, target);
      const bytes = await Deno.readFile(path);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      built.push({ target, program, path, sizeBytes: bytes.length, sha256 });
    }
  }
  const sums = built.map(({ sha256, path }) => `${sha256}  ${path.slice(outFolder.length + 1)}\n`);
  await Deno.writeTextFile(join(outFolder, "SHA256SUMS"), sums.join(""));
  return built;
}

/** Which runtime and which compiler a target takes, from the environment and the version inside the runtime. */
async function planTarget(target: string, only: boolean, environment: Environment): Promise<Plan> {
  if (!defaultTargets.includes(target) && !otherTargets.includes(target)) {
    const known = [...defaultTargets, ...otherTargets].join(", ");
    throw new Error(`A target must be one of ${known}, is ${target}`);
  }
  const own = only || target === Deno.build.target ? environment("DENORT_BIN") : undefined;
  const runtime = environment(runtimeVariable(target)) ?? own ?? null;
  if (runtime === null) return { target, runtime, compiler: [Deno.execPath()] };
  return { target, runtime, compiler: compilerFor(await runtimeVersion(runtime)) };
}

export function runtimeVariable(target: string): string {
  return `DENORT_BIN_${target.toUpperCase().replaceAll("-", "_")}`;
}

/** A program only runs when compiler and runtime agree on the format, which changed with 2.9. */
function compilerFor(version: string): string[] {
  const isNew = (deno: string) => Number(deno.split(".")[1]) >= 9;
  if (isNew(version) === isNew(Deno.version.deno)) return [Deno.execPath()];
  return ["npx", "-y", `deno@${isNew(version) ? version : olderCompiler}`];
}

/** The runtime can't be asked without a program in it, but it carries what it says of itself in HTTP requests. */
async function runtimeVersion(path: string): Promise<string> {
  const bytes = await Deno.readFile(path).catch((cause) => {
    throw new Error(`DENORT_BIN must name a readable file, ${path} is not`, { cause });
  });
  const at = Buffer.from(bytes.buffer).indexOf("Deno/2.");
  const match = /^Deno\/(2\.\d+\.\d+)/.exec(new TextDecoder().decode(bytes.subarray(at, at + 20)));
  if (!match) throw new Error(`DENORT_BIN must name a Deno 2 runtime, ${path} is none`);
  return match[1];
}

/** Returns the path. Without `--minify` only where the compiler makes a mistake with it, which a check shows. */
async function compile(plan: Plan, program: string, folder: string): Promise<string> {
  const path = join(folder, plan.target.includes("windows") ? `${program}.exe` : program);
  const runtime = plan.runtime === null ? new Uint8Array() : await Deno.readFile(plan.runtime);
  for (const more of [["--minify"], []]) {
    await runCompiler(plan, program, path, more);
    if (loadsLibraries(await Deno.readFile(path), runtime)) return path;
  }
  throw new Error(`Compiling ${program} for ${plan.target} made a program that can't load its libraries`);
}

/**
 * The bundler leaves words for a `require` that it can't serve, and the compiler puts a real one in their place. It looks
 * for them by the name before them, and misses one that minifying has made of a "$": chance decides, change by change.
 * A runtime with a compiler of its own has the words, too.
 */
export function loadsLibraries(program: Uint8Array<ArrayBuffer>, runtime: Uint8Array<ArrayBuffer>): boolean {
  return countOf(unserved, program) <= countOf(unserved, runtime);
}

const unserved = 'Dynamic require of "';

function countOf(words: string, { buffer }: Uint8Array<ArrayBuffer>): number {
  const bytes = Buffer.from(buffer);
  let count = 0;
  for (let at = bytes.indexOf(words); at >= 0; at = bytes.indexOf(words, at + 1)) count++;
  return count;
}

async function runCompiler(plan: Plan, program: string, path: string, more: string[]): Promise<void> {
  const [executable, ...before] = plan.compiler;
  const args = [...before, "compile", "--quiet", "--bundle", ...more, "--no-check", "-A"];
  // Runners are the agent's executable.
  if (program !== "client") args.push(v8Flags);
  args.push("--target", plan.target, "--output", path, `${program}.ts`);
  await Deno.mkdir(dirname(path), { recursive: true });
  const { success, stdout, stderr } = await new Deno.Command(executable, {
    args,
    // From the root, so that deno.json is found and its "unstable" features are baked in.
    cwd: root,
    env: compilerEnvironment(plan.runtime),
    clearEnv: true,
  }).output();
  if (success) return;
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  throw new Error(compileFailure(program, plan.target, output));
}

/** A DENORT_BIN that is meant for another target must not reach the compiler: it would embed that runtime. */
function compilerEnvironment(runtime: string | null): Record<string, string> {
  const { DENORT_BIN: _, ...inherited } = Deno.env.toObject();
  return { ...inherited, NO_COLOR: "1", ...(runtime ? { DENORT_BIN: runtime } : {}) };
}

/** What a failed compilation tells the user: most often the runtime can't be had, which the compiler says at length. */
export function compileFailure(program: string, target: string, output: string): string {
  if (!/dl\.deno\.land/.test(output)) return `Compiling ${program} for ${target} failed:\n${output.trim()}`;
  const variable = target === Deno.build.target ? "DENORT_BIN" : runtimeVariable(target);
  return `The runtime for ${target} could not be downloaded from dl.deno.land; ` +
    `get denort-${target}.zip of Deno ${Deno.version.deno} elsewhere, unpack it, and set ${variable} to the file's path`;
}

/** A runtime of another machine compiles without complaint, so look at the result (ELF header, e_machine). */
async function checkMachine(path: string, target: string): Promise<void> {
  if (!target.includes("linux")) return;
  using file = await Deno.open(path);
  const header = new Uint8Array(20);
  await file.read(header);
  const machine = { 0x3e: "x86_64", 0xb7: "aarch64" }[header[18]];
  if (machine === target.split("-")[0]) return;
  throw new Error(`The runtime for ${target} must be of that machine, it is of ${machine ?? "another"}`);
}

function sizeTable(built: Built[]): string {
  const columns: Column<Built>[] = [
    { title: "TARGET", text: ({ target }) => target },
    { title: "PROGRAM", text: ({ program }) => program },
    { title: "SIZE", text: ({ sizeBytes }) => `${(sizeBytes / 1e6).toFixed(1)} MB`, right: true },
  ];
  return formatTable(built, columns, { width: Infinity, colours: false });
}

if (import.meta.main) {
  const { positionals } = parseArgs({ args: Deno.args, allowPositionals: true });
  try {
    const out = join(root, "dist");
    const built = await build(positionals.length > 0 ? positionals : defaultTargets, out);
    console.log(`${sizeTable(built)}\nCheck them with: cd dist && sha256sum -c SHA256SUMS`);
  } catch (thrown) {
    console.error(`build: ${(thrown as Error).message}`);
    Deno.exit(1);
  }
}
