/**
 * Sqwish in full: TLS, authentication, admission, queue, adaptive capacity and telemetry; the endpoint runs in
 * a runner on each of two agents.
 */
import { Buffer } from "node:buffer";
import { fetchAuthority } from "../../../lib/security/certificate_fetch.ts";
import { parseToken } from "../../../lib/security/token.ts";
import type { Peer } from "../peer.ts";
import { startEcho } from "./cluster.ts";

/** Asked through the client library. */
export const sqwish: Peer = {
  name: "sqwish",
  title: "Sqwish, TLS",
  needs: [],
  async start(context) {
    const { cluster, processes, close } = await startEcho(context);
    const address = { token: cluster.manager.clientToken };
    return { processes, close, target: { kind: "library", client: "sqwish", address } };
  },
};

/** Asked over HTTP. */
export const sqwishHttp: Peer = {
  name: "sqwish-http",
  title: "Sqwish over HTTP, TLS, and wrk",
  needs: ["wrk"],
  async start(context) {
    const { cluster, processes, close } = await startEcho(context);
    const { port, clientToken } = cluster.manager;
    const { user, password, fingerprint } = parseToken(clientToken);
    const basic = Buffer.from(`${user}:${password}`).toString("base64");
    const target = {
      kind: "http" as const,
      url: `https://127.0.0.1:${port}/v1/invoke/bench/echo`,
      headers: { authorization: `Basic ${basic}` },
      caPem: await fetchAuthority({ host: "127.0.0.1", port, fingerprint, timeoutMs: 5000 }),
    };
    return { processes, close, target };
  },
};
