/**
 * Sqwish in full: TLS, authentication, admission, queue, adaptive capacity and telemetry; the endpoint runs in
 * a runner on each of two agents.
 */
import type { DemoCluster } from "../../../examples/demo/cluster.ts";
import { descendantsOf } from "../../measure.ts";
import type { HttpTarget, Peer, PeerContext, RunningPeer, Target } from "../peer.ts";
import { authorityOf, startCluster } from "./cluster.ts";

export const sqwish: Peer = {
  name: "sqwish",
  title: "Sqwish, TLS",
  needs: [],
  start: (context) => start(context, libraryTarget),
};

/** The same cluster asked over its HTTP API. */
export const sqwishHttp: Peer = {
  name: "sqwish-http",
  title: "Sqwish, HTTP over TLS, wrk",
  needs: ["wrk"],
  start: (context) => start(context, httpTarget),
};

async function start(
  context: PeerContext,
  target: (cluster: DemoCluster) => Target | Promise<Target>,
): Promise<RunningPeer> {
  const cluster = await startCluster(context, {
    module: "echo.ts",
    replicaSet: { replicas: 2, queue: { max: 100_000 }, concurrency: context.concurrency },
    agents: 2,
  });
  try {
    const [manager, ...agents] = cluster.programs.map(({ pid }) => pid);
    return {
      pids: { broker: [manager], agents, workers: agents.flatMap(descendantsOf) },
      target: await target(cluster),
      close: () => cluster.close(),
    };
  } catch (thrown) {
    await cluster.close();
    throw thrown;
  }
}

function libraryTarget({ manager }: DemoCluster): Target {
  return { kind: "library", client: "sqwish", address: { token: manager.clientToken } };
}

/** With a session's token, as a program would: no password in each request. */
async function httpTarget(cluster: DemoCluster): Promise<HttpTarget> {
  const { url, adminPassword } = cluster.manager;
  const caPem = await authorityOf(cluster);
  using client = Deno.createHttpClient({ caCerts: [caPem] });
  const response = await fetch(`${url}/v1/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user: "admin", password: adminPassword }),
    client,
  });
  const { token } = await response.json();
  const headers = { authorization: `Bearer ${token}` };
  return { kind: "http", url: `${url}/v1/invoke/bench/echo`, headers, caPem };
}
