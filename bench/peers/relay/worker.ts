/** Sends every frame back as it came. */
import { dial, readFrames, Writer } from "./framing.ts";

const connection = await dial(JSON.parse(Deno.args[0]));
const writer = new Writer(connection);
console.log("ready");
await readFrames(connection, (bytes, end) => writer.add(bytes.subarray(0, end)));
