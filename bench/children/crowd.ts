/** Opens many connections to a manager and holds them, idle, until it is ended. */
import { connect, type Sqwish } from "../../client.ts";

export interface CrowdJob {
  url: string;
  caPem: string;
  user: string;
  password: string;
  count: number;
}

/** Handshakes under way at once: the measure is what a connection keeps, not a storm of them. */
const openingMax = 20;

const { count, ...target } = JSON.parse(Deno.args[0]) as CrowdJob;
const open: Sqwish[] = [];
async function openSome(): Promise<void> {
  while (left-- > 0) open.push(await connect({ ...target, profileFile: false, connectTimeoutMs: 60_000 }));
}
let left = count;
await Promise.all(Array.from({ length: openingMax }, openSome));
console.log("ready");
