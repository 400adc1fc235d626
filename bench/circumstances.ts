/** What a reader must know to compare with other runs: the machine, the versions, the options. Nothing of whose it is. */
import { version } from "../lib/version.ts";
import type { Circumstances } from "./results.ts";

/** How each program says its version; those that aren't there are left out. */
const programs: Record<string, { args: string[]; pattern: RegExp }> = {
  "nats-server": { args: ["--version"], pattern: /v([\d.]+)/ },
  haproxy: { args: ["-v"], pattern: /version ([\d.]+)/ },
  wrk: { args: ["-v"], pattern: /wrk (?:debian\/)?([\d.]+)/ },
};

/** Packages of peers, as their modules import them. */
const packages = [/npm:(@nats-io\/transport-node)@([\d.]+)/, /npm:(moleculer)@([\d.]+)/];
const packageFiles = ["peers/nats/client.ts", "peers/moleculer/node.ts"];

export type Options = Pick<Circumstances, "sqwish" | "rounds" | "seconds" | "concurrency" | "notRun">;

export async function circumstancesOf(options: Options): Promise<Circumstances> {
  const cpu = /^model name\s*: (.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpu.trim(),
    cores: navigator.hardwareConcurrency,
    memoryGb: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    versions: {
      Sqwish: version,
      Deno: Deno.version.deno,
      ...await programVersions(),
      ...await packageVersions(),
      Linux: Deno.osRelease().split("-")[0],
    },
    ...options,
  };
}

async function programVersions(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [program, { args, pattern }] of Object.entries(programs)) {
    const output = await new Deno.Command(program, { args }).output().catch(() => undefined);
    if (!output) continue;
    const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
    found[program] = pattern.exec(text)?.[1] ?? "unknown";
  }
  return found;
}

async function packageVersions(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [index, file] of packageFiles.entries()) {
    const text = await Deno.readTextFile(`${import.meta.dirname}/${file}`);
    const [, name, number] = packages[index].exec(text)!;
    found[name] = number;
  }
  return found;
}
