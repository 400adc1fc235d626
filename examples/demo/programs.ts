/**
 * Starts Sqwish's programs as processes of their own, from source or as compiled binaries, remembers the last lines
 * each wrote, and ends them all. Whatever happens, no child outlives `endAll()`.
 */
import { join } from "node:path";
import { v8Flags } from "../../lib/v8_flags.ts";

/** The command line each program starts with; arguments are added behind. */
export interface Programs {
  manager: string[];
  agent: string[];
  client: string[];
}

export interface Program {
  readonly name: string;
  readonly pid: number;
  /** Null while it runs. */
  exitCode(): number | null;
  /** The last lines of both outputs. */
  tail(): string;
  /** Resolves once it has ended and its last lines are there. */
  readonly ended: Promise<void>;
}

export interface Finished {
  code: number;
  stdout: Uint8Array<ArrayBuffer>;
  stderr: string;
}

const tailCharactersMax = 6000;
/** A program that has not ended this long after SIGTERM is killed. */
const graceMs = 5000;
/** How long the last words of an ended program are waited for: a child of its own may hold its outputs open. */
const lastWordsMs = 500;

/** Programs run by this very Deno from the repository's root, as they are compiled. */
export function programsFromSource(root: string): Programs {
  const run = (file: string, ...flags: string[]) => [
    ...[Deno.execPath(), "run", "--quiet", "-A", ...flags],
    join(root, file),
  ];
  return { manager: run("manager.ts", v8Flags), agent: run("agent.ts", v8Flags), client: run("client.ts") };
}

/** Compiled programs in one folder, as `deno task build` leaves them. Throws when one is missing. */
export async function programsFromFolder(folder: string): Promise<Programs> {
  const find = async (name: string) => {
    const path = join(await Deno.realPath(folder), name);
    await Deno.stat(path).catch((cause) => {
      throw new Error(`${folder} must hold the binary "${name}"; make it with: deno task build`, { cause });
    });
    return [path];
  };
  return { manager: await find("manager"), agent: await find("agent"), client: await find("client") };
}

/** The processes of one demo, so that they can be ended together. */
export class ProgramGroup {
  #children: { program: Program; child: Deno.ChildProcess; done: Promise<void> }[] = [];

  /** Starts one that goes on until it is ended. */
  start(name: string, command: string[], args: string[], env: Record<string, string> = {}): Program {
    const [executable, ...before] = command;
    const child = new Deno.Command(executable, {
      args: [...before, ...args],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let tail = "";
    let code: number | null = null;
    const unheard = new AbortController();
    const remember = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      const decoder = new TextDecoder();
      const append = (bytes: Uint8Array) =>
        void (tail = (tail + decoder.decode(bytes, { stream: true })).slice(-tailCharactersMax));
      await stream.pipeTo(new WritableStream({ write: append }), { signal: unheard.signal }).catch(() => {});
    };
    const outputs = Promise.all([remember(child.stdout), remember(child.stderr)]);
    const done = child.status.then(async (status) => {
      const giveUp = setTimeout(() => unheard.abort(), lastWordsMs);
      await outputs;
      clearTimeout(giveUp);
      code = status.code;
    });
    const program = { name, pid: child.pid, exitCode: () => code, tail: () => tail, ended: done };
    this.#children.push({ program, child, done });
    return program;
  }

  get programs(): readonly Program[] {
    return this.#children.map(({ program }) => program);
  }

  /** Throws, with the last lines, when one of them has ended although nobody asked it to. */
  assertRunning(): void {
    for (const { program } of this.#children) {
      if (program.exitCode() === null) continue;
      throw new Error(`${program.name} ended with code ${program.exitCode()}:\n${program.tail()}`);
    }
  }

  /** The last lines of every program that has written any. */
  tails(): string {
    const written = this.#children.filter(({ program }) => program.tail() !== "");
    return written.map(({ program }) => `--- ${program.name}\n${program.tail().trimEnd()}`).join("\n");
  }

  /** Asks the newest to end first, so that agents leave before their manager, and kills what stays. */
  async endAll(): Promise<void> {
    const children = this.#children.splice(0).reverse();
    for (const { child } of children) signal(child, "SIGTERM");
    const killer = setTimeout(() => children.forEach(({ child }) => signal(child, "SIGKILL")), graceMs);
    await Promise.all(children.map(({ done }) => done));
    clearTimeout(killer);
  }
}

/** Runs one to its end. */
export async function runProgram(
  command: string[],
  args: string[],
  env: Record<string, string> = {},
): Promise<Finished> {
  const [executable, ...before] = command;
  const { code, stdout, stderr } = await new Deno.Command(executable, {
    args: [...before, ...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, stdout, stderr: new TextDecoder().decode(stderr) };
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // Already gone, which is what was wanted.
  }
}
