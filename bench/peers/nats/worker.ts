/** A subscriber that echoes. */
import { type NatsAddress, openNats, subject } from "./client.ts";

const connection = await openNats(JSON.parse(Deno.args[0]) as NatsAddress);
connection.subscribe(subject, {
  queue: "workers",
  callback: (_error, message) => void message.respond(message.data),
});
await connection.flush();
console.log("ready");
