/** Every system under test, in the order of the tables. */
import { haproxy } from "./haproxy/peer.ts";
import { moleculer } from "./moleculer/peer.ts";
import { nats } from "./nats/peer.ts";
import type { Peer } from "./peer.ts";
import { relay } from "./relay/peer.ts";
import { sqwish, sqwishHttp } from "./sqwish/peer.ts";

export const peers: readonly Peer[] = [nats, moleculer, haproxy, relay, sqwish, sqwishHttp];

export function titleOf(name: string): string | undefined {
  return peers.find((peer) => peer.name === name)?.title;
}

/** Those that can be started here. What the others lack is said, and added to `notRun`. */
export async function installed(
  wanted: readonly Peer[],
  { notRun, say }: { notRun: string[]; say(line: string): void },
): Promise<Peer[]> {
  const present: Peer[] = [];
  for (const peer of wanted) {
    const lacking = await lackingFor(peer);
    if (lacking.length === 0) {
      present.push(peer);
      continue;
    }
    const line = `${peer.title}: ${lacking.join(" and ")} must be installed`;
    notRun.push(line);
    say(`NOT RUN: ${line}`);
  }
  return present;
}

/** The programs it needs that are not installed. */
export async function lackingFor(peer: Peer): Promise<string[]> {
  const lacking: string[] = [];
  for (const program of peer.needs) if (!await isOnPath(program)) lacking.push(program);
  return lacking;
}

async function isOnPath(program: string): Promise<boolean> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const found = await Deno.stat(`${folder}/${program}`).catch(() => undefined);
    if (found?.isFile) return true;
  }
  return false;
}
