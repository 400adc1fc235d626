// @ts-check
/** The manager itself: what it takes of its machine, and above all of its disk, which may be an SD card. */
import { h, setVisible } from "./dom.js";
import { formatBytes, formatDuration, formatWrites, plural } from "./format.js";
import { showFacts } from "./parts.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").ClusterView} ClusterView
 */

/** @param {App} app */
export function createManagerCard(app) {
  const facts = h("dl", { class: "facts" });
  const element = h("section", { class: "card panel manager-card" }, h("h3", {}, "Manager"), facts);
  return {
    element,
    /** @param {{ cluster: ClusterView }} overview */
    update({ cluster }) {
      // No history tells what it took then.
      setVisible(element, !app.feed.isPast());
      showFacts(facts, managerFacts(cluster));
    },
  };
}

/** @param {ClusterView} cluster @returns {[string, string][]} */
function managerFacts(cluster) {
  return [
    ["Writes to disk", formatWrites(cluster)],
    ["History and all else stored", formatBytes(cluster.databaseBytes)],
    ["CPU", `${cluster.managerCpuCores.toFixed(2)} cores`],
    ["Memory", formatBytes(cluster.managerMemoryBytes)],
    ["Up", formatDuration(cluster.atMs - cluster.startedAtMs)],
    ["Clients", plural(cluster.clients, "client")],
  ];
}
