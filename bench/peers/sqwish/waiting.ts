/** Sends requests that will not be answered for an hour, and holds their connections until it is ended. */
import { connect } from "../../../client.ts";

interface Job {
  token: string;
  count: number;
  bytes: number;
}

/** A connection may have a few more than this in flight. */
const perConnectionMax = 15_000;
/** Sent before the manager gets time to take them in. */
const burst = 1000;

const { token, count, bytes }: Job = JSON.parse(Deno.args[0]);
const body = new Uint8Array(bytes).fill(97);
let failure: unknown;
for (let sent = 0; sent < count;) {
  const sqwish = await connect({ token, profileFile: false });
  const end = Math.min(count, sent + perConnectionMax);
  while (sent < end) {
    const stop = Math.min(end, sent + burst);
    for (; sent < stop; sent++) {
      sqwish.invoke("bench/hold", body, { timeoutMs: 3600_000 }).catch((thrown) => failure ??= thrown);
    }
    // Its answer comes after all of them have been read.
    await sqwish.call("GET", "/v1/overview");
    if (failure) throw failure;
  }
}
console.log("ready");
