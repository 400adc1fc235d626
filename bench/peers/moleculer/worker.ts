/** A node whose action echoes. */
import { createNode, type MoleculerAddress, service } from "./node.ts";

const node = createNode(JSON.parse(Deno.args[0]) as MoleculerAddress);
node.createService({
  name: service,
  actions: { echo: ({ params }: { params: { body: string } }) => params.body },
});
await node.start();
console.log("ready");
