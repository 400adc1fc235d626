/** Every system under test, in the order of the tables. */
import { haproxy } from "./haproxy/peer.ts";
import { moleculer } from "./moleculer/peer.ts";
import { nats } from "./nats/peer.ts";
import type { Peer } from "./peer.ts";
import { relay } from "./relay/peer.ts";
import { sqwish } from "./sqwish/peer.ts";

export const peers: readonly Peer[] = [nats, moleculer, haproxy, relay, sqwish];

/** Those that can be started here, and for each of the others what it lacks. */
export async function installed(wanted: readonly Peer[]): Promise<{ present: Peer[]; missing: string[] }> {
  const present: Peer[] = [];
  const missing: string[] = [];
  for (const peer of wanted) {
    const lacking = [];
    for (const program of peer.needs) if (!await onPath(program)) lacking.push(program);
    if (lacking.length === 0) present.push(peer);
    else missing.push(`${peer.title}: NOT RUN, ${lacking.join(" and ")} must be installed`);
  }
  return { present, missing };
}

async function onPath(program: string): Promise<boolean> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const found = await Deno.stat(`${folder}/${program}`).catch(() => undefined);
    if (found?.isFile) return true;
  }
  return false;
}
