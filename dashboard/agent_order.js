// @ts-check
/** By what agents can be ordered, on their own page and on the overview: the address keeps the choice. */
import { hostOf } from "./parts.js";
import { createCalmSort, createOrderChoice } from "./table.js";

/** @typedef {import("../lib/protocol/views.ts").AgentView} AgentView */

/** @type {{ key: string, title: string, by(agent: AgentView): import("./order.js").OrderValue }[]} */
const orders = [
  { key: "name", title: "By name", by: ({ name }) => name },
  { key: "health", title: "By health", by: ({ health }) => health },
  { key: "cpu", title: "By CPU", by: (agent) => hostOf(agent)?.cpu },
  { key: "memory", title: "By memory", by: (agent) => hostOf(agent)?.memoryUsedBytes },
  { key: "requests", title: "By requests", by: ({ outstanding }) => outstanding },
  { key: "replicas", title: "By replicas", by: ({ replicas }) => replicas.length },
];

/** @param {() => void} changed another order was chosen */
export function createAgentOrder(changed) {
  const sort = createCalmSort((/** @type {AgentView} */ { name }) => name);
  const choice = createOrderChoice(orders, { key: "name", down: false }, changed);
  return {
    element: choice.element,
    /** @param {AgentView[]} agents */
    sort(agents) {
      const order = choice.order();
      return sort(agents, order, (orders.find(({ key }) => key === order.key) ?? orders[0]).by);
    },
  };
}
