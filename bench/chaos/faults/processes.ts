/** Processes that are killed and stopped: agents, runners, the manager. */
import { eventually } from "../../../tests/support/eventually.ts";
import { type Fault, pause } from "../fault.ts";
import { kill, queueMaxLong, stateOf, stopFor } from "../stage.ts";

const victim = "agent-2";

export const processFaults: Fault[] = [
  {
    name: "agent-killed",
    title: "agent killed (SIGKILL)",
    seen: "its idempotent requests are run elsewhere, the others get `agent_lost`",
    errors: ["agent_lost"],
    answeredMin: 0.95,
    async run(stage) {
      const atMs = Date.now();
      await kill(stage.cluster.agents.get(victim)!);
      const noticed = await stage.event("agent_lost", victim, atMs);
      stage.cluster.startAgent(victim);
      return { atMs, noticedMs: noticed.atMs - atMs };
    },
  },
  {
    name: "agent-ended",
    title: "agent ended (SIGTERM)",
    seen: "nothing: what it runs ends first",
    answeredMin: 1,
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
    answeredMin: 0.97,
    async run(stage) {
      const atMs = Date.now();
      await stopFor([stage.cluster.agents.get(victim)!.pid], 6000);
      const noticed = await stage.event("agent_lost", victim, atMs);
      return { atMs, noticedMs: noticed.atMs - atMs };
    },
  },
  {
    name: "runner-killed",
    title: "runner killed (SIGKILL)",
    seen: "what it ran is run again when idempotent, else `agent_lost` or `module_failed`",
    errors: ["agent_lost", "module_failed"],
    answeredMin: 0.95,
    async run(stage) {
      const runners = stage.runnersOf(victim);
      if (runners.length === 0) throw new Error(`${victim} must have a runner to kill`);
      const atMs = Date.now();
      for (const pid of runners) Deno.kill(pid, "SIGKILL");
      await eventually("the runners are gone", () => runners.every((pid) => "ZX".includes(stateOf(pid))));
      await pause(1000);
      return { atMs, figures: { runners: runners.length } };
    },
  },
  {
    name: "runner-stopped",
    title: "runner stopped for 2 s (SIGSTOP)",
    seen: "what it holds waits; the rest goes elsewhere",
    answeredMin: 1,
    async run(stage) {
      const atMs = Date.now();
      const runners = stage.runnersOf(victim);
      await stopFor(runners, 2000);
      return { atMs, figures: { runners: runners.length } };
    },
  },
  {
    name: "manager-killed",
    title: "manager killed and started again",
    seen: "idempotent requests are answered late; the others in flight get `manager_lost`",
    errors: ["manager_lost", "queue_full"],
    answeredMin: 0.7,
    stage: { queueMax: queueMaxLong },
    async run(stage) {
      const atMs = Date.now();
      await kill(stage.cluster.manager);
      await stage.cluster.startManager();
      return { atMs };
    },
  },
  {
    name: "manager-stopped",
    title: "manager stopped for 2 s (SIGSTOP)",
    seen: "everything waits; no agent is lost by it",
    answeredMin: 1,
    async run(stage) {
      const atMs = Date.now();
      await stopFor([stage.cluster.manager.pid], 2000);
      await eventually("what was sent meanwhile has waited", () => stage.repliesSlowerThan(1000, atMs) > 0);
      return { atMs };
    },
  },
];
