/** The same cluster as `peer.ts`, asked over HTTP. */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { parseToken } from "../../../lib/security/token.ts";
import type { Peer } from "../peer.ts";
import { startSqwish } from "./peer.ts";

export const sqwishHttp: Peer = {
  name: "sqwish-http",
  title: "Sqwish over HTTP, TLS, and wrk",
  needs: ["wrk"],
  start: (context) =>
    startSqwish(context, (manager) => {
      const { user, password } = parseToken(manager.clientToken);
      const basic = Buffer.from(`${user}:${password}`).toString("base64");
      const caPem = Deno.readTextFileSync(join(context.folder, "manager", "ca.pem"));
      return {
        kind: "http",
        url: `https://127.0.0.1:${manager.port}/v1/invoke/bench/echo`,
        headers: { authorization: `Basic ${basic}` },
        caPem,
      };
    }),
};
