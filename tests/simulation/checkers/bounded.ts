/**
 * Queues, tables and timers stay within bounds while everything goes wrong, and are empty once nobody asks for
 * anything: what is kept of a request, a connection or an agent goes with it.
 */
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

/** Timers of a manager with nothing to do: judging, metrics, peers, the live view, deployments. */
const managerTimersMax = 12;
/** Of an agent: its session, its dial, and its replicas with their runners. */
const agentTimersMax = 8;
const replicaTimersMax = 6;
const clientTimersMax = 6;

export function bounded(world: World): Checker {
  const name = "bounded";
  const fail = (message: string) => world.fail(name, message);

  function atRest(): void {
    const { core, process } = world.manager;
    const snapshot = core.dispatcher.snapshot();
    const { requests, deadlines } = core.dispatcher.watched;
    const left = { queued: snapshot.queued, outstanding: snapshot.outstanding, requests, deadlines };
    if (Object.values(left).some((count) => count !== 0)) {
      fail(`the manager still keeps ${JSON.stringify(left)}`);
    }
    for (const { agent, replicaSet, revision, slots, lent } of snapshot.replicas) {
      if (lent !== 0) fail(`${replicaSet} on ${agent} still lends ${lent} slots`);
      if (slots === 0) {
        fail(`the manager still keeps ${replicaSet} ${revision} of ${agent}, which is not routed`);
      }
    }
    if (process!.timers > managerTimersMax) fail(`the manager has ${process!.timers} timers`);
    for (const { name: agent, agent: running, process } of world.agents) {
      if (!running) continue;
      // A replica that moves here just now has its modules on their way.
      const isLoading = running.hosting.reports().some(({ state }) => state === "loading");
      if (running.pendingCalls > 0 && !isLoading) {
        fail(`${agent} still waits for ${running.pendingCalls} answers of the manager`);
      }
      const samples = running.hosting.samples();
      const outstanding = samples.reduce((sum, sample) => sum + sample.outstanding, 0);
      if (outstanding > 0) fail(`${agent} still keeps ${outstanding} requests`);
      const timersMax = agentTimersMax + samples.length * replicaTimersMax;
      if (process!.timers > timersMax) {
        fail(`${agent} has ${process!.timers} timers with ${samples.length} replicas`);
      }
    }
    for (const { name: client, sqwish, process } of world.clients) {
      if ((sqwish?.pendingRequests ?? 0) > 0) {
        fail(`${client} still keeps ${sqwish!.pendingRequests} requests`);
      }
      if (process!.timers > clientTimersMax) fail(`${client} has ${process!.timers} timers`);
    }
  }

  return {
    name,
    tick() {
      if (!world.manager.isUp) return;
      const { core } = world.manager;
      const snapshot = core.dispatcher.snapshot();
      for (const [set, { queued, outstanding }] of snapshot.sets) {
        const { queueMax } = core.controller.routes.sets.get(set) ?? { queueMax: Infinity };
        // What is run again goes back to the queue whatever its length.
        if (queued > queueMax + outstanding + 100) {
          fail(`the queue of ${set} has ${queued}, its bound is ${queueMax}`);
        }
      }
      for (const { agent, replicaSet, slots, outstanding, lent } of snapshot.replicas) {
        if (outstanding < 0) fail(`${replicaSet} on ${agent} has ${outstanding} of ${slots} slots in use`);
        if (lent < 0 || lent > outstanding) {
          fail(`${replicaSet} on ${agent} lends ${lent} slots of ${outstanding} requests`);
        }
      }
      if (core.agents.list().length > world.agents.length) fail("more agents are known than there are");
    },
    converged: atRest,
  };
}
