// @ts-check
/** What can be done with machines, each asked about before it is done. */
import { cordon, createAgentToken, drain, removeAgent } from "./api.js";
import { ask } from "./dialogs.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { copyBox, emptyState } from "./parts.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 */

/** What a cluster without machines shows instead of them. @param {App} app */
export function createNoAgents(app) {
  const text =
    "Make a join token, then run the second line on a machine that shall work. It is ready a second later.";
  const element = emptyState("No agents yet", text, ["./manager token agent", "./agent --join TOKEN"]);
  if (app.session.role === "admin") {
    element.append(
      h("button", { type: "button", class: "primary", on: { click: askToken } }, "Make the line for me"),
    );
  }
  return element;
}

export function askToken() {
  ask({
    title: "Add a machine",
    text:
      "This makes a join token. Whoever has it can join as an agent, so pass it on as you would a password.",
    confirm: "Make a token",
    async act(show) {
      const token = await createAgentToken();
      show(
        h("p", {}, "Copy the agent to the machine and run this there:"),
        copyBox(`./agent --join ${token}`),
      );
      return null;
    },
  });
}

/** @param {AgentView} agent */
export function askCordon({ name, cordoned }) {
  ask({
    title: cordoned ? `Let ${name} take replicas again?` : `Cordon ${name}?`,
    text: cordoned
      ? "New replicas may be placed there."
      : "It keeps what it runs, and takes no new replicas.",
    confirm: cordoned ? "Uncordon" : "Cordon",
    async act() {
      await cordon(name, !cordoned);
      return `${name} is ${cordoned ? "open for" : "closed to"} new replicas`;
    },
  });
}

/** @param {AgentView} agent */
export function askDrain({ name, replicas }) {
  ask({
    title: `Drain ${name}?`,
    text: `Its ${plural(replicas.length, "replica")} move to other agents, and what runs there ends first.`,
    confirm: "Drain",
    async act() {
      const { warnings } = await drain(name);
      return [`${name} is drained`, ...warnings].join(". ");
    },
  });
}

/** @param {AgentView} agent */
export function askRemove({ name }) {
  ask({
    title: `Forget ${name}?`,
    text: "It is lost. If it ever joins again, it is a new agent.",
    confirm: "Forget",
    async act() {
      await removeAgent(name);
      return `${name} is forgotten`;
    },
  });
}
