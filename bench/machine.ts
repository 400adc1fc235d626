/** What the figures were measured on; nothing that tells one machine of a kind from another. */
import { version } from "../lib/version.ts";
import type { Machine } from "./report.ts";

/** How each program tells its version. */
const commands: Record<string, string[]> = {
  "nats-server": ["nats-server", "--version"],
  haproxy: ["haproxy", "-v"],
  wrk: ["wrk", "-v"],
};

export async function describeMachine(): Promise<Machine> {
  const cpus = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const versions: Record<string, string> = { Sqwish: version, Deno: Deno.version.deno };
  for (const [name, [program, ...args]] of Object.entries(commands)) {
    const found = await versionOf(program, args);
    if (found) versions[name] = found;
  }
  return {
    cpu: /^model name\s*: (.*)$/m.exec(cpus)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memoryGb: Math.round(Deno.systemMemoryInfo().total / 1e9),
    kernel: Deno.osRelease().split("-")[0],
    versions,
  };
}

async function versionOf(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command(program, { args }).output();
    const decoder = new TextDecoder();
    return /\d+\.\d+(\.\d+)?/.exec(decoder.decode(stdout) + decoder.decode(stderr))?.[0];
  } catch {
    return undefined;
  }
}
