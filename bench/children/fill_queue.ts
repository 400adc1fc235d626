/** Sends requests that will wait, over as many connections as needed, and keeps them until it is ended. */
import { connect } from "../../client.ts";

export interface FillJob {
  token: string;
  requests: number;
  bytes: number;
}

/** Below what one connection may have in flight. */
const perConnectionMax = 15_000;

const { token, requests, bytes } = JSON.parse(Deno.args[0]) as FillJob;
const body = new Uint8Array(bytes).fill(97);
for (let left = requests; left > 0; left -= perConnectionMax) {
  const sqwish = await connect({ token, profileFile: false });
  for (let sent = 0; sent < Math.min(left, perConnectionMax); sent++) {
    sqwish.invoke("bench/hold", body, { timeoutMs: 3_600_000 }).catch((error) => {
      console.error(error.message);
      Deno.exit(1);
    });
  }
}
console.log("ready");
