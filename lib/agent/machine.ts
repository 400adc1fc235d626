/** The machine an agent runs on: its labels, cores and memory. */
export interface AgentMachine {
  hostname: string;
  /** `arch`, `os` and `hostname`, given by the machine and not changeable by `--label`. */
  labels: Record<string, string>;
  cores: number;
  memoryBytes: number;
}

export function readMachine(): AgentMachine {
  const hostname = Deno.hostname();
  return {
    hostname,
    labels: { arch: Deno.build.arch, os: Deno.build.os, hostname },
    cores: navigator.hardwareConcurrency,
    memoryBytes: Deno.systemMemoryInfo().total,
  };
}
