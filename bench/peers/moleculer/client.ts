/**
 * The calling node. Its JSON can't hold bytes, so a body travels as a text of as many letters: the cheapest it can do.
 * Several connections are one here, since a node keeps one to each other node.
 */
import type { EchoClient } from "../peer.ts";
import { createNode, type MoleculerAddress, service } from "./node.ts";

let shared: Promise<EchoClient> | undefined;

export function open(address: MoleculerAddress): Promise<EchoClient> {
  return shared ??= openNode(address);
}

async function openNode(address: MoleculerAddress): Promise<EchoClient> {
  const node = createNode(address);
  await node.start();
  await node.waitForServices(service);
  const workers = address.urls.length - 1;
  while (node.registry.actions.get(`${service}.echo`)!.count() < workers) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const texts = new Map<Uint8Array, string>();
  const encoder = new TextEncoder();
  return {
    async ask(body) {
      let text = texts.get(body);
      if (text === undefined) texts.set(body, text = new TextDecoder().decode(body));
      const reply = await node.call(`${service}.echo`, { body: text });
      return reply === text ? body : encoder.encode(reply as string);
    },
    close: () => node.stop(),
  };
}
