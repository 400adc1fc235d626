/**
 * A machine that was suspended isn't taken for a crashed one twice: while it sleeps it is lost once at most; when it has
 * woken it goes on with the replicas it had, and, with nothing else wrong, is well soon and not lost again.
 */
import type { ReplicaSpecification } from "../../../lib/protocol/messages.ts";
import type { SimulatedAgent } from "../agent.ts";
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
  /** Folders of the replicas that were ready and are still wanted, by set, revision and module. */
  folders: Map<string, Set<string>>;
  /** null: something else was wrong at its start, or the manager has ended since. */
  calm: Calm | null;
}

interface Calm {
  manager: SimulatedProcess;
  /** Faults that have struck its machine and the manager's. */
  struck: number;
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
  /** By agent, what it was last told to run. It may fall asleep before it hears of it. */
  const told = new Map<string, Set<string>>();
  const struck = ({ machine }: SimulatedAgent) => machine.struck + world.manager.machine.struck;

  function calmOf(agent: SimulatedAgent): Calm | null {
    const { manager, network } = world;
    const isDead = [...network.wires].some((wire) => wire.isDead && wire.left.machine === agent.machine);
    const isWell = manager.isUp && !manager.isDiskFull && manager.writesToCrash === Infinity &&
      manager.core.agents.get(agent.name)?.health === "ready";
    if (!isWell || isDead || !world.hasGoodLine(agent.machine) || !world.hasGoodLine(manager.machine)) {
      return null;
    }
    return { manager: manager.process!, struck: struck(agent) };
  }

  function foldersOf({ name: sleeper, agent, runners }: SimulatedAgent): Map<string, Set<string>> {
    const ready = agent?.hosting.reports().filter(({ state }) => state === "ready") ?? [];
    const folders = new Map<string, Set<string>>();
    for (const { specification, folder } of runners) {
      const { replicaSet, revision } = specification;
      if (!ready.some((one) => one.replicaSet === replicaSet && one.revision === revision)) continue;
      const key = keyOf(specification);
      if (!told.get(sleeper)?.has(key)) continue;
      folders.set(key, (folders.get(key) ?? new Set()).add(folder));
    }
    return folders;
  }

  function isCalm({ agent, process, calm }: Sleep): boolean {
    return calm !== null && agent.process === process && world.manager.process === calm.manager &&
      struck(agent) === calm.struck;
  }

  /** As long as what is wanted doesn't change: soon a rollout may take another revision there. */
  function checkReplicas({ agent, folders }: Sleep): void {
    for (const [key, before] of folders) {
      const [set, revision] = key.split(" ");
      if (harmed.has(`${agent.name} ${set}`)) continue;
      if ([...agent.runners].some(({ folder }) => before.has(folder))) continue;
      world.fail(name, `${agent.name} has slept, and its replica of ${set} ${revision} is not what it was`);
    }
  }

  function checkHealth(sleep: Sleep): void {
    if (!isCalm(sleep)) return;
    const { name: agent, health, healthReason } = world.manager.core.agents.get(sleep.agent.name)!;
    if (health === "ready") return;
    world.fail(name, `${agent} has woken ${settleMsMax} ms ago and is ${health}: ${healthReason}`);
  }

  return {
    name,
    agentSlept(agent) {
      const [process, folders, calm] = [agent.process!, foldersOf(agent), calmOf(agent)];
      sleeps.set(agent.name, { agent, process, wokeMs: Infinity, lost: 0, lostMax: 1, folders, calm });
    },
    agentWoke({ name: agent }) {
      const sleep = sleeps.get(agent);
      if (sleep) sleep.wokeMs = world.timeline.nowMs;
    },
    managerEnded() {
      for (const sleep of sleeps.values()) Object.assign(sleep, { lost: 0, calm: null });
    },
    managerSentMessage({ name: agent }, message) {
      if (message.type !== "desired") return;
      const wanted = new Set(message.replicas.map(keyOf));
      told.set(agent, wanted);
      const folders = sleeps.get(agent)?.folders;
      for (const key of folders?.keys() ?? []) if (!wanted.has(key)) folders!.delete(key);
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
        const isGone = sleep.agent.process !== sleep.process || sleep.agent.isLeaving;
        const isSettled = world.timeline.nowMs >= sleep.wokeMs + settleMsMax;
        if (isGone || isSettled) sleeps.delete(agent);
        if (isGone || sleep.wokeMs === Infinity) continue;
        checkReplicas(sleep);
        if (isSettled) checkHealth(sleep);
      }
    },
  };
}
