// @ts-check
/** Replicas as a table: of one replicaSet by agent, or of one agent by replicaSet. */
import { h, setText } from "./dom.js";
import { formatBytes, formatNumber, plural } from "./format.js";
import { createPips, createStatus, linkTo, nameTag } from "./parts.js";
import { createTable } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").ReplicaView} ReplicaView
 */

/** What a lost replica said last is not what it does now. @param {ReplicaView} replica */
function isGone({ state }) {
  return state === "lost";
}

/**
 * @param {App} app
 * @param {{ first: "agent" | "replicaSet", name: string, max?: number }} options `first`: the first column names what the
 *   page around it does not; `name` of the order in the address; `max`: more rows are left out, those that are well first
 */
export function createPlacements(app, { first, name, max = Infinity }) {
  /** @type {import("./table.js").Column<ReplicaView>[]} */
  const columns = [
    {
      key: first,
      title: first === "agent" ? "Agent" : "ReplicaSet",
      by: (replica) => replica[first],
    },
    { key: "state", title: "State", by: ({ state }) => state },
    { key: "revision", title: "Revision", by: ({ revision }) => revision },
    { key: "slots", title: "Slots", by: ({ outstanding, slots }) => slots ? outstanding / slots : null },
    { key: "cpu", title: "CPU cores", by: (replica) => isGone(replica) ? null : replica.cpuCores },
    { key: "memory", title: "Memory", by: (replica) => isGone(replica) ? null : replica.memoryBytes },
    { key: "restarts", title: "Restarts", by: ({ restarts }) => restarts },
  ];
  const table = createTable({
    ...{ label: "Replicas", class: "placements", name, columns, order: { key: first, down: false } },
    keyOf: (replica) => `${replica.agent}/${replica.replicaSet}@${replica.revision}`,
    createRow: (replica) => createRow(app, first, replica),
  });
  return {
    element: table.element,
    /** @param {ReplicaView[]} replicas */
    update(replicas) {
      const unwell = replicas.filter(({ state }) => state !== "ready");
      const well = replicas.filter(({ state }) => state === "ready");
      table.update(replicas.length > max ? [...unwell, ...well].slice(0, max) : replicas);
    },
    close: table.close,
  };
}

/**
 * @param {App} app
 * @param {"agent" | "replicaSet"} first
 * @param {ReplicaView} replica
 */
function createRow(app, first, replica) {
  const link = linkTo(first === "agent" ? "agents" : "replicasets", replica[first]);
  const status = createStatus();
  const reason = h("span", { class: "reason" });
  const pips = createPips();
  const slotWords = h("span", { class: "dim" });
  const [revision, cpu, memory, restarts] = [h("td"), h("td"), h("td"), h("td")];
  const name = h("th", { scope: "row" }, nameTag(app, first, replica[first], link));
  const [state, slots] = [h("td", {}, status.element, reason), h("td", {}, pips.element, slotWords)];
  return {
    element: h("tr", {}, name, state, revision, slots, cpu, memory, restarts),
    /** @param {ReplicaView} now */
    update(now) {
      status.update(now.state);
      setText(reason, now.reason ?? "");
      setText(revision, `r${now.revision}`);
      const [running, cores, bytes] = isGone(now)
        ? [0, undefined, undefined]
        : [now.outstanding, now.cpuCores, now.memoryBytes];
      const adaptive = now.adaptive ? ", adaptive" : "";
      pips.update(running, now.slots, `${running} of ${plural(now.slots, "slot")} in use${adaptive}`);
      setText(slotWords, now.adaptive ? "adaptive" : "");
      setText(cpu, formatNumber(cores));
      setText(memory, formatBytes(bytes));
      setText(restarts, now.restarts);
    },
  };
}
