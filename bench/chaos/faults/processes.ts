/** Processes that are killed and stopped: agents, runners, the manager. */
import type { Done, Fault } from "../fault.ts";
import { pause } from "../fault.ts";
import type { Stage } from "../stage.ts";

const victim = "agent-2";

export const processFaults: Fault[] = [
  {
    name: "agent-killed",
    title: "agent killed (SIGKILL)",
    seen: "its idempotent requests are run elsewhere, the others get `agent_lost`",
    errors: ["agent_lost"],
    async run(stage) {
      const atMs = Date.now();
      await stage.cluster.agents.get(victim)!.end("SIGKILL");
      const noticed = await stage.event("agent_lost", victim, atMs);
      stage.cluster.startAgent(victim);
      return { atMs, noticedMs: noticed.atMs - atMs };
    },
  },
  {
    name: "agent-ended",
    title: "agent ended (SIGTERM)",
    seen: "nothing: what it runs ends first",
    async run(stage) {
      const atMs = Date.now();
      await stage.cluster.agents.get(victim)!.end("SIGTERM");
      const noticed = await stage.event("agent_leaving", victim, atMs);
      stage.cluster.startAgent(victim);
      return { atMs, noticedMs: noticed.atMs - atMs };
    },
  },
  {
    name: "agent-stopped",
    title: "agent stopped for 6 s (SIGSTOP, a laptop that sleeps)",
    seen: "its requests wait up to 3 s, then as if it were killed; back with its modules loaded",
    errors: ["agent_lost"],
    run: (stage) => stopFor(stage, stage.cluster.agents.get(victim)!.pid, victim, 6000),
  },
  {
    name: "runner-killed",
    title: "runner killed (SIGKILL)",
    seen: "what it ran is run again when idempotent, else `agent_lost` or `module_failed`",
    errors: ["agent_lost", "module_failed"],
    async run(stage) {
      const runners = stage.runnersOf(victim);
      const atMs = Date.now();
      for (const pid of runners) Deno.kill(pid, "SIGKILL");
      await pause(1000);
      return { atMs, figures: { runners: runners.length } };
    },
  },
  {
    name: "runner-stopped",
    title: "runner stopped for 2 s (SIGSTOP)",
    seen: "what it holds waits; the rest goes elsewhere",
    async run(stage) {
      const runners = stage.runnersOf(victim);
      const atMs = Date.now();
      for (const pid of runners) Deno.kill(pid, "SIGSTOP");
      await pause(2000);
      for (const pid of runners) Deno.kill(pid, "SIGCONT");
      return { atMs };
    },
  },
  {
    name: "manager-killed",
    title: "manager killed and started again",
    seen: "idempotent requests are answered late; the others in flight get `manager_lost`",
    errors: ["manager_lost"],
    async run(stage) {
      const atMs = Date.now();
      await stage.cluster.manager.end("SIGKILL");
      await stage.cluster.startManager();
      return { atMs };
    },
  },
  {
    name: "manager-stopped",
    title: "manager stopped for 2 s (SIGSTOP)",
    seen: "everything waits; no agent is lost by it",
    run: (stage) => stopFor(stage, stage.cluster.manager.pid, null, 2000),
  },
];

/** `agent`: who is to be noticed missing; null: nobody. */
async function stopFor(stage: Stage, pid: number, agent: string | null, ms: number): Promise<Done> {
  const atMs = Date.now();
  Deno.kill(pid, "SIGSTOP");
  try {
    await pause(ms);
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  if (agent === null) return { atMs };
  const noticed = await stage.event("agent_lost", agent, atMs);
  return { atMs, noticedMs: noticed.atMs - atMs };
}
