/**
 * Sqwish in full: TLS, authentication, admission, queue, adaptive capacity and telemetry; the endpoint runs in
 * a runner on each of two agents.
 */
import { join } from "node:path";
import { DemoCluster } from "../../../examples/demo/cluster.ts";
import { fetchAuthority } from "../../../lib/security/certificate_fetch.ts";
import { parseToken } from "../../../lib/security/token.ts";
import { descendantsOf } from "../../measure.ts";
import type { HttpTarget, Peer, PeerContext, RunningPeer, Target } from "../peer.ts";

export const sqwish: Peer = {
  name: "sqwish",
  title: "Sqwish, TLS",
  needs: [],
  start: (context) =>
    startSqwish(context, ({ manager }) => ({
      kind: "library",
      client: "sqwish",
      address: { token: manager.clientToken },
    })),
};

/** The same cluster asked over its HTTP API. A session's token is what a program would use: no password each time. */
export const sqwishHttp: Peer = {
  name: "sqwish-http",
  title: "Sqwish, HTTP over TLS, wrk",
  needs: ["wrk"],
  start: (context) => startSqwish(context, httpTarget),
};

async function httpTarget(
  { manager: { url, port, adminPassword, clientToken } }: DemoCluster,
): Promise<HttpTarget> {
  const { fingerprint } = parseToken(clientToken);
  const caPem = await fetchAuthority({ host: "127.0.0.1", port, fingerprint, timeoutMs: 5000 });
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

export async function startSqwish(
  context: PeerContext,
  target: (cluster: DemoCluster) => Target | Promise<Target>,
): Promise<RunningPeer> {
  const configuration = join(context.folder, "cluster.json");
  const { concurrency } = context;
  const module = "echo.ts";
  await Deno.copyFile(join(import.meta.dirname!, module), join(context.folder, module));
  const replicaSet = {
    name: "bench",
    modules: [`./${module}`],
    replicas: 2,
    queue: { max: 100_000 },
    concurrency,
  };
  await Deno.writeTextFile(
    configuration,
    JSON.stringify({ cluster: "bench", replicaSets: [{ version: "1.0.0", ...replicaSet }] }),
  );
  const cluster = await DemoCluster.start({
    programs: context.programs,
    folder: context.folder,
    configuration,
    agents: [{ name: "agent-1", labels: {} }, { name: "agent-2", labels: {} }],
    interrupted: context.interrupted,
  });
  try {
    await cluster.ready();
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
