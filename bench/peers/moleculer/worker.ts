/** A node that serves the echo. */
import { type MoleculerAddress, startNode } from "./node.ts";

const { name, ...address } = JSON.parse(Deno.args[0]) as MoleculerAddress & { name: string };
await startNode(address, name, true);
console.log("ready");
