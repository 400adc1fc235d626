/**
 * Known bugs, as changes of the program's text, and the checker that must find each. A simulator that finds nothing
 * proves nothing.
 */
export interface PlantedBug {
  name: string;
  checker: string;
  changes: { file: string; from: string; to: string }[];
}

const dispatcher = "lib/scheduling/dispatcher.ts";
const requests = "lib/client/requests.ts";
const controller = "lib/manager/controller.ts";
const replicas = "lib/deployment/replicas.ts";
const rollout = "lib/deployment/rollout.ts";

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "a freed slot wakes nobody up",
    checker: "no idle slot",
    changes: [{
      file: dispatcher,
      from: "    this.#pump(pending.set);\n  }\n\n  #onPart",
      to: "  }\n\n  #onPart",
    }],
  },
  {
    name: "what a module asks for may not have the slot of who waits for it",
    checker: "no idle slot",
    changes: [{
      file: "lib/scheduling/policy.ts",
      from: "isNested ? candidate.outstanding - candidate.lent : candidate.outstanding;",
      to: "isNested ? candidate.outstanding : candidate.outstanding;",
    }],
  },
  {
    name: "a slot is lent for ever",
    checker: "bounded",
    changes: [{
      file: "lib/scheduling/state.ts",
      from: "    if (--this.#calls === 0) this.takeSlotBack();",
      to: "    this.#calls--;",
    }, {
      file: dispatcher,
      from: "    pending.takeSlotBack();\n",
      to: "",
    }],
  },
  {
    name: "the slot of a cancelled request is given back twice",
    checker: "bounded",
    changes: [{
      file: dispatcher,
      from:
        '    this.#release(pending, nowMs, phase === "running");\n    this.#deadlines.remove(pending);\n    if (phase === "running") {',
      to:
        '    this.#release(pending, nowMs);\n    if (phase === "abandoned") pending.replica!.outstanding--;\n' +
        '    this.#deadlines.remove(pending);\n    if (phase === "running") {',
    }],
  },
  {
    name: "what an agent's older connection says still counts",
    checker: "told",
    changes: [{
      file: "lib/cluster/agents.ts",
      from: "return record?.connection === connection ? record : undefined;",
      to: "return connection ? record : undefined;",
    }],
  },
  {
    name: "a late reply is an outcome, too",
    checker: "one outcome",
    changes: [{
      file: dispatcher,
      from: '    this.#deadlines.remove(pending);\n    if (phase === "running") {',
      to: '    this.#deadlines.remove(pending);\n    if (phase === "running" || phase === "abandoned") {',
    }],
  },
  {
    name: "every request of a lost agent is run again",
    checker: "run once",
    changes: [{
      file: "lib/scheduling/state.ts",
      from: "return isIdempotent && !this.streaming",
      to: "return (isIdempotent || true) && !this.streaming",
    }],
  },
  {
    name: "a replica that is not ready is routed to",
    checker: "shown before used",
    changes: [{
      file: "lib/cluster/routing.ts",
      from: 'health === "ready" && report.state === "ready" && report.slots',
      to: 'health === "ready" && report.slots',
    }],
  },
  {
    name: "a cancelled request stays in the table",
    checker: "bounded",
    changes: [{
      file: dispatcher,
      from: "    this.#inFlight.remove(pending);",
      to: '    if (code !== "cancelled") this.#inFlight.remove(pending);',
    }],
  },
  {
    name: "nobody looks at deadlines in the queue",
    checker: "one outcome",
    changes: [{
      file: dispatcher,
      from:
        '    if (pending.phase === "queued") {\n      pending.leave();\n      this.#expireQueued(pending, nowMs);',
      to: '    if (pending.phase === "queued") {\n      void nowMs;',
    }],
  },
  {
    name: "what a lost agent had is forgotten",
    checker: "one outcome",
    changes: [{
      file: dispatcher,
      from: "        this.#fail(pending, outcomes.agentLost(pending, name, reason), true);",
      to: "        this.#deadlines.remove(pending);",
    }],
  },
  {
    name: "the client sends again what may run once",
    checker: "run once",
    changes: [
      {
        file: requests,
        from: "return pending.idempotent && !pending.partsSeen;",
        to: "return !pending.partsSeen;",
      },
      { file: requests, from: "    if (!pending.idempotent) pending.frame = null;\n", to: "" },
      {
        file: requests,
        from: "channel !== null && !pending.idempotent && ",
        to: "channel !== null && pending === null && ",
      },
    ],
  },
  {
    name: "first come, first served over all clients",
    checker: "fair between clients",
    changes: [
      { file: dispatcher, from: "queue.push(pending.requester.id,", to: 'queue.push("everyone",' },
      { file: dispatcher, from: "queue.pushFront(pending.requester.id,", to: 'queue.pushFront("everyone",' },
    ],
  },
  {
    name: "damping is forgotten with the connection",
    checker: "damped last",
    changes: [{
      file: "lib/cluster/agents.ts",
      from: "damping: same ? before?.damping : undefined,",
      to: "damping: undefined,",
    }],
  },
  {
    name: "nobody is told that an agent is lost",
    checker: "told",
    changes: [{
      file: "lib/manager/core.ts",
      from: 'else events.record("warn", `agent_${to}`',
      to: 'else if (agent === to) events.record("warn", `agent_${to}`',
    }],
  },
  {
    name: "a rollout is stored before it is told, not with it",
    checker: "told",
    changes: [{
      file: "lib/manager/core.ts",
      from: "transaction: store.transaction,",
      to: "transaction: (work) => work(),",
    }],
  },
  {
    name: "the last manager's word counts for what the one before had, too",
    checker: "honest outcomes",
    changes: [{ file: requests, from: "pending.sentAgain ? mayHaveRunBefore(error) : error", to: "error" }],
  },
  {
    name: "the manager looks up a revision that nobody keeps",
    checker: "no stray errors",
    changes: [{
      file: controller,
      from: "this.#findRevision(replicaSet, revision) !== undefined\n",
      to: "this.set(replicaSet) !== undefined && revision > 0\n",
    }],
  },
  {
    name: "the client sends again in reverse",
    checker: "in order",
    changes: [{
      file: requests,
      from: "    for (const pending of this.#pending.list()) {\n      this.#waiting.delete(pending);",
      to: "    for (const pending of this.#pending.list().reverse()) {\n      this.#waiting.delete(pending);",
    }],
  },
  {
    name: "an agent that is lost is lost once more when its connection ends",
    checker: "sleep is no crash",
    changes: [{
      file: "lib/manager/agent_session.ts",
      from: '  if (change) {\n    options.record("warn", "agent_lost"',
      to: '  if (current) {\n    options.record("warn", "agent_lost"',
    }, {
      file: "lib/manager/agent_session.ts",
      from: "close.reason || change.reason",
      to: "close.reason || change?.reason",
    }],
  },
  {
    name: "an agent stops what it runs when its connection ends",
    checker: "sleep is no crash",
    changes: [{
      file: "lib/agent/session.ts",
      from: "      hosting.forget(channel);\n",
      to: "      hosting.forget(channel);\n" +
        '      hosting.apply({ type: "desired", generation: 0, replicas: [] });\n',
    }],
  },
  {
    name: "an old replica goes once a new one is on its way",
    checker: "enough ready",
    changes: [{
      file: replicas,
      from: "Math.max(0, reachable - available.length);",
      to: "Math.max(0, reachable - available.length - situation.rising.length);",
    }],
  },
  {
    name: "a rollout begins everywhere at once",
    checker: "within surge",
    changes: [{
      file: replicas,
      from: "if (total >= reachable + surge && !(",
      to: "if (total >= 2 * reachable + surge && !(",
    }],
  },
  {
    name: "a rollout whose deadline has passed goes on",
    checker: "rollouts end",
    changes: [{
      file: rollout,
      from: "times.nowMs >= deadlineAtMs) {",
      to: "times.nowMs >= Infinity) {",
    }],
  },
  {
    name: "that an agent is back is no progress of a rollout",
    checker: "rollouts end",
    changes: [{
      file: rollout,
      from: "healthSinceMs > atMs &&",
      to: "healthSinceMs > Infinity &&",
    }],
  },
  {
    name: "a revision that fails is not undone",
    checker: "rolled back",
    changes: [{
      file: rollout,
      from: "    const target = fallback ?? set.current;\n    return",
      to: "    const target = set.current;\n    return",
    }],
  },
  {
    name: "a revision is taken for good while it is still rolled out",
    checker: "rolled back",
    changes: [{
      file: "lib/manager/rollout_saver.ts",
      from: 'if (state === "done") deployments',
      to: 'if (state !== "failed") deployments',
    }],
  },
  {
    name: "an agent that comes back is not told again what it shall run",
    checker: "converges",
    changes: [
      { file: controller, from: "    this.#sent.delete(agent);\n", to: "" },
      {
        file: controller,
        from: '    this.#sent.set(agent, "nothing yet");',
        to: '    if (!this.#sent.has(agent)) this.#sent.set(agent, "nothing yet");',
      },
    ],
  },
  {
    name: "nobody plans again when it is time to",
    checker: "converges",
    changes: [{
      file: controller,
      from: "if (wakeAtMs === Infinity) return;",
      to: "if (wakeAtMs > 0) return;",
    }],
  },
];
