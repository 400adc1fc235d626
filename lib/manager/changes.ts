/** The API's changes, put together from deployments, accounts and the registry; each leaves an event. */
import type { Agents } from "../cluster/agents.ts";
import { drainWarnings } from "../deployment/drain.ts";
import { SqwishError } from "../errors.ts";
import { notFound } from "../near_miss.ts";
import type { Revision } from "../protocol/revision.ts";
import type { AgentStore } from "../store/agents.ts";
import type { Store } from "../store/store.ts";
import type { Accounts } from "./accounts.ts";
import type { Changes } from "./api/changes.ts";
import type { Deployments } from "./deployments.ts";
import type { RecordEvent } from "./events.ts";
import { counted } from "../words.ts";

export interface ChangesOptions {
  deployments: Deployments;
  accounts: Accounts;
  agents: Agents;
  agentStore: AgentStore;
  /** All of `work`'s writes to the store, or none. */
  transaction: Store["transaction"];
  /** Whether someone is connected as this user. */
  isConnected(user: string): boolean;
  createToken: Changes["createToken"];
  record: RecordEvent;
  /** What shall run on an agent now. */
  runningOn(agent: string): Revision[];
  /** Why replicas of a set wait for a place, in words. */
  pendingReason(replicaSet: string): string | undefined;
  /** The registry changed. */
  changed(): void;
  /** Someone was removed or has another password. */
  usersChanged(): void;
}

export function createChanges(options: ChangesOptions): Changes {
  const { deployments, accounts, agents, agentStore, record } = options;
  // Stored first: what a restart would forget must not be in force.
  function setFlags(agent: string, flags: { cordoned: boolean; draining: boolean }): void {
    if (!agents.get(agent)) throw notFound("agent", agent, agents.list().map(({ name }) => name));
    agentStore.setFlags(agent, flags);
    agents.setFlags(agent, flags);
  }
  return {
    deploy: (request, by) => deployments.deploy(request, by.name),
    async scale(name, replicas, by) {
      deployments.scale(name, replicas, by.name);
      // The controller plans in this turn's microtasks, and knows then what has no place.
      await Promise.resolve();
      return { warnings: scaleWarnings(options, name, replicas) };
    },
    pause: (name, paused, by) => deployments.pause(name, paused, by.name),
    undo: (name, toRevision, by) => deployments.undo(name, toRevision, by.name),
    remove: (name, by) => deployments.remove(name, by.name),
    cordon(agent, cordoned, by) {
      setFlags(agent, { cordoned, draining: false });
      const what = cordoned ? "takes no new replicas" : "takes new replicas again";
      record(
        "info",
        cordoned ? "agent_cordoned" : "agent_uncordoned",
        agent,
        `${by.name}: agent ${agent} ${what}`,
      );
      options.changed();
    },
    drain(agent, by) {
      const warnings = drainWarnings(agent, options.runningOn(agent), agents.list());
      setFlags(agent, { cordoned: true, draining: true });
      const words = [`${by.name}: agent ${agent} is drained, its replicas move to others`, ...warnings];
      record(warnings.length > 0 ? "warn" : "info", "agent_drained", agent, words.join("; "));
      options.changed();
      return { warnings };
    },
    removeAgent: (agent, by) => ({ accounts: removeAgent(options, agent, by.name) }),
    async addUser(user) {
      const added = await accounts.add(user);
      record("info", "user_added", user.name, `User ${user.name} was added with the role ${user.role}`);
      return added;
    },
    async setPassword(name, password) {
      const changed = await accounts.setPassword(name, password);
      record("info", "password_changed", name, `The password of ${name} was changed`);
      options.usersChanged();
      return changed;
    },
    removeUser(name, by) {
      if (name === by.name) {
        throw new SqwishError("conflict", `User ${name} can't remove the user it is signed in as`);
      }
      accounts.remove(name);
      record("info", "user_removed", name, `User ${name} was removed`);
      options.usersChanged();
    },
    async createToken(token) {
      const created = await options.createToken(token);
      const use = token.once ? "one use" : "any number of uses";
      record("info", "token_created", "", `A join token for ${use} as ${token.role} was made`);
      return created;
    },
  };
}

/** Why a set that was just scaled does not get all that was asked for, unless it will yet. */
function scaleWarnings(
  { agents, runningOn, pendingReason }: ChangesOptions,
  name: string,
  replicas: number | "all" | "auto",
): string[] {
  const pending = pendingReason(name);
  if (pending === undefined) return [];
  const running =
    agents.list().filter((agent) => runningOn(agent.name).some(({ replicaSet }) => replicaSet === name))
      .length;
  if (typeof replicas === "number" && running >= replicas) return [];
  return [`${name} runs on ${running === 0 ? "no agent" : `${counted(running, "agent")} only`}: ${pending}`];
}

/** Forgets an agent that is gone, with the accounts that it was given, which are returned. All of it or nothing. */
function removeAgent(options: ChangesOptions, agent: string, by: string): string[] {
  const { accounts, agents, agentStore, record } = options;
  agents.requireGone(agent);
  const removed = options.transaction(() => {
    const used = agentStore.find(agent)?.account ?? null;
    agentStore.remove(agent);
    const ofOthers = new Set(agentStore.list().map(({ account }) => account));
    const gone = accounts.removeOfAgent(agent, { used, ofOthers, isInUse: options.isConnected });
    const signIn = gone.length === 0
      ? "it had no account of its own, so whoever has what it signed in with still can"
      : `it can't sign in again (${gone.join(", ")})`;
    record("info", "agent_removed", agent, `${by} removed agent ${agent}, which was gone; ${signIn}`);
    return gone;
  }, "durable");
  agents.forget(agent);
  options.changed();
  options.usersChanged();
  return removed;
}
