/**
 * A machine that was suspended isn't taken for a crashed one twice: while it sleeps it is lost once at most, and when
 * it has woken, with nothing else wrong, it is not lost again, is well soon, and goes on with the runners it had.
 */
import type { ReplicaSpecification } from "../../../lib/protocol/messages.ts";
import type { SimulatedAgent } from "../agent.ts";
import type { RunnerProcess } from "../module_host.ts";
import { badEndpoints } from "../modules.ts";
import type { Checker } from "../observer.ts";
import type { SimulatedProcess } from "../timeline.ts";
import type { World } from "../world.ts";

/** From its waking until it has dialled anew, was let in and has told what it runs. */
const settleMsMax = 10_000;

interface Sleep {
  agent: SimulatedAgent;
  process: SimulatedProcess;
  wokeMs: number;
  lost: number;
  /** A hello that was on its way when it fell asleep lets it in once more. */
  lostMax: number;
  /** What it had at its start, while nothing else was wrong; null: something was. */
  calm: Calm | null;
}

interface Calm {
  manager: SimulatedProcess;
  /** Faults that have struck its machine and the manager's. */
  struck: number;
  /** Of what was ready and is still wanted, by set, revision and module. */
  runners: Map<string, RunnerProcess[]>;
}

/** A set that is deleted and made anew may have the same revisions with other modules. */
const keyOf = ({ replicaSet, revision, modules }: ReplicaSpecification) =>
  `${replicaSet} ${revision} ${modules[0].sha256}`;

export function asleep(world: World): Checker {
  const name = "sleep is no crash";
  /** By agent; from its falling asleep until it has settled. */
  const sleeps = new Map<string, Sleep>();
  /** Agents with a set whose runners clients have harmed. */
  const harmed = new Set<string>();
  const struck = ({ machine }: SimulatedAgent) => machine.struck + world.manager.machine.struck;

  function calmOf(agent: SimulatedAgent): Calm | null {
    const { manager, network } = world;
    const isDead = [...network.wires].some((wire) => wire.isDead && wire.left.machine === agent.machine);
    const isWell = manager.isUp && !manager.isDiskFull && manager.writesToCrash === Infinity &&
      manager.core.agents.get(agent.name)?.health === "ready";
    if (!isWell || isDead || !world.hasGoodLine(agent.machine) || !world.hasGoodLine(manager.machine)) {
      return null;
    }
    const runners = new Map<string, RunnerProcess[]>();
    const ready = agent.agent?.hosting.reports().filter(({ state }) => state === "ready") ?? [];
    for (const runner of agent.runners) {
      const { replicaSet, revision } = runner.specification;
      if (!ready.some((one) => one.replicaSet === replicaSet && one.revision === revision)) continue;
      const key = keyOf(runner.specification);
      runners.set(key, [...runners.get(key) ?? [], runner]);
    }
    return { manager: manager.process!, struck: struck(agent), runners };
  }

  function isCalm({ agent, process, calm }: Sleep): boolean {
    return calm !== null && agent.process === process && world.manager.process === calm.manager &&
      struck(agent) === calm.struck;
  }

  function settled(sleep: Sleep): void {
    const { agent, calm } = sleep;
    if (!isCalm(sleep)) return;
    const { health, healthReason } = world.manager.core.agents.get(agent.name)!;
    if (health !== "ready") {
      world.fail(name, `${agent.name} has woken ${settleMsMax} ms ago and is ${health}: ${healthReason}`);
    }
    for (const [key, before] of calm!.runners) {
      const [set, revision] = key.split(" ");
      if (harmed.has(`${agent.name} ${set}`) || before.some((runner) => agent.runners.has(runner))) continue;
      world.fail(name, `${agent.name} has slept, and none of its runners of ${set} ${revision} is left`);
    }
  }

  return {
    name,
    agentSlept(agent) {
      const calm = calmOf(agent);
      sleeps.set(agent.name, {
        agent,
        process: agent.process!,
        wokeMs: Infinity,
        lost: 0,
        lostMax: 1,
        calm,
      });
    },
    agentWoke({ name: agent }) {
      const sleep = sleeps.get(agent);
      if (sleep) sleep.wokeMs = world.timeline.nowMs;
    },
    managerEnded: () => sleeps.clear(),
    managerSentMessage({ name: agent }, message) {
      if (message.type !== "desired") return;
      const wanted = new Set(message.replicas.map(keyOf));
      const runners = sleeps.get(agent)?.calm?.runners;
      for (const key of runners?.keys() ?? []) if (!wanted.has(key)) runners!.delete(key);
    },
    runStarted({ agent, replicaSet }, { endpoint }) {
      if (badEndpoints.some((bad) => endpoint.endsWith(`/${bad}`))) harmed.add(`${agent} ${replicaSet}`);
    },
    eventRecorded({ kind, subject, message }) {
      const sleep = sleeps.get(subject);
      if (!sleep) return;
      const isAwake = sleep.wokeMs < Infinity;
      if (kind === "agent_returned" && !isAwake) sleep.lostMax = 2;
      if (kind !== "agent_lost" || ++sleep.lost <= sleep.lostMax) return;
      if (isAwake && !isCalm(sleep)) return;
      world.fail(name, `${subject} has slept once and is lost ${sleep.lost} times: ${message}`);
    },
    tick() {
      for (const [agent, sleep] of sleeps) {
        if (sleep.agent.process !== sleep.process) sleeps.delete(agent);
        if (world.timeline.nowMs < sleep.wokeMs + settleMsMax) continue;
        sleeps.delete(agent);
        settled(sleep);
      }
    },
  };
}
