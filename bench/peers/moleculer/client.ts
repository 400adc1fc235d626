/** A caller's node. The echo's bytes travel as a text of as many characters. */
import type { EchoClient } from "../peer.ts";
import { freePort } from "../../processes.ts";
import { type MoleculerAddress, startNode } from "./node.ts";

let opened = 0;

export async function open(address: MoleculerAddress): Promise<EchoClient> {
  const name = `caller-${++opened}`;
  // The nodes that serve learn of it when it greets them.
  const urls = [...address.urls, `127.0.0.1:${freePort()}/${name}`];
  const broker = await startNode({ urls }, name, false);
  await broker.waitForServices("bench", 20_000);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return {
    ask: async (body) => encoder.encode(await broker.call("bench.echo", { text: decoder.decode(body) })),
    close: () => broker.stop(),
  };
}
