/** A caller's node. The echo's bytes travel as a text of as many characters. */
import type { EchoClient } from "../peer.ts";
import { type MoleculerAddress, startNode } from "./node.ts";

let opened = 0;

export async function open(address: MoleculerAddress): Promise<EchoClient> {
  const broker = await startNode(address, `caller-${++opened}`, false);
  await broker.waitForServices("bench", 20_000);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return {
    ask: async (body) => encoder.encode(await broker.call("bench.echo", { text: decoder.decode(body) })),
    close: () => broker.stop(),
  };
}
