/** What `client why` tells of an endpoint: asks the manager for what bears on an endpoint, and tells why it is slow, refused or fine. */
import type { Sqwish } from "../../client/sqwish.ts";
import { notFound } from "../../near_miss.ts";
import type { OverviewView, RequestsView } from "../../protocol/views.ts";
import { explainEndpoint } from "../why/explain_endpoint.ts";
import { readJson } from "./context.ts";

const spanMs = 15 * 60_000;
const requestsRead = 50;

/** Throws `not_found` with near misses. */
export async function whyEndpoint(sqwish: Sqwish, name: string, signal: AbortSignal): Promise<string[]> {
  const { cluster, endpoints, replicaSets, agents } = await readJson<OverviewView>(
    sqwish,
    "/v1/overview",
    signal,
  );
  const endpoint = endpoints.find((each) => each.endpoint === name);
  const set = replicaSets.find((each) => each.name === (endpoint?.replicaSet ?? name.split("/")[0]));
  if (!endpoint || !set) {
    const pending = set && endpoints.every((each) => each.replicaSet !== set.name)
      ? `, and nothing of ${set.name} is ready; \`client describe replicaset ${set.name}\` shows why`
      : "";
    throw notFound("endpoint", name, endpoints.map((each) => each.endpoint), pending);
  }
  const query = new URLSearchParams({
    endpoint: name,
    lastMs: String(spanMs),
    limit: String(requestsRead),
  });
  const requests = await readJson<RequestsView>(sqwish, `/v1/requests?${query}`, signal);
  return explainEndpoint({ endpoint, set, agents, requests, nowMs: cluster.atMs });
}
