/** Hosts one looping replica, prints the pid of its runner and waits to be killed. */
import { Hosted } from "./hosted.ts";

const hosted = await Hosted.ready({ "m.js": "export function loop() { for (;;); }" });
hosted.start("set/loop", null);
for (const entry of Deno.readDirSync("/proc")) {
  if (!/^\d+$/.test(entry.name)) continue;
  try {
    const status = Deno.readTextFileSync(`/proc/${entry.name}/status`);
    if (new RegExp(`^PPid:\\s+${Deno.pid}$`, "m").test(status)) console.log(entry.name);
  } catch {
    // Ended while we looked.
  }
}
await new Promise((done) => setTimeout(done, 60_000));
