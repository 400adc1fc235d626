// @ts-check
/** The manager itself: what it takes of its machine, and above all of its disk, which may be an SD card. */
import { h, setVisible } from "./dom.js";
import { formatBytes, formatDuration, plural } from "./format.js";
import { showFacts } from "./parts.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").ClusterView} ClusterView
 */

const hourMs = 3_600_000;
/** Of a shorter time no rate is told: a start writes more than what follows. */
const rateMsMin = 600_000;

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

/**
 * What it writes, in words: per hour over all of its time, once that is long enough.
 * @param {{ managerDiskWrittenBytes?: number, atMs: number, startedAtMs: number }} cluster
 */
export function writtenWords({ managerDiskWrittenBytes: bytes, atMs, startedAtMs }) {
  if (bytes === undefined) return "not told by this system";
  const upMs = atMs - startedAtMs;
  if (upMs < rateMsMin) return `${formatBytes(bytes)} since its start`;
  return `${formatBytes(bytes * hourMs / upMs)} per hour since its start`;
}

/** @param {ClusterView} cluster @returns {[string, string][]} */
function managerFacts(cluster) {
  return [
    ["Writes to disk", writtenWords(cluster)],
    ["History and all else stored", formatBytes(cluster.databaseBytes)],
    ["CPU", `${cluster.managerCpuCores.toFixed(2)} cores`],
    ["Memory", formatBytes(cluster.managerMemoryBytes)],
    ["Up", formatDuration(cluster.atMs - cluster.startedAtMs)],
    ["Clients", plural(cluster.clients, "client")],
  ];
}
