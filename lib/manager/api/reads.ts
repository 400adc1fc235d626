/** The read routes: everything the client's tables and the dashboard show. No route here changes anything. */
import { Hono } from "hono";
import { SqwishError } from "../../errors.ts";
import { didYouMean, notFound } from "../../near_miss.ts";
import { type EventKind, eventKindOf, eventNames } from "../../protocol/event_kinds.ts";
import type {
  EndpointsPastView,
  EventView,
  LogsView,
  MetricsView,
  OverviewView,
  PastRolloutView,
  PastView,
  RequestsView,
  RevisionDetailView,
  RevisionView,
  UserView,
} from "../../protocol/views.ts";
import type { RequestsFilter } from "../../metrics/recent_requests.ts";
import { guard } from "../../security/access.ts";
import type { EventFilter } from "../../store/events.ts";
import { logLevels } from "../../log.ts";
import type { LogQuery } from "../module_logs.ts";
import { type ApiContext, type ApiEnv, queryNumber, queryWord } from "./context.ts";

export interface Reads {
  overview(): OverviewView;
  revisions(replicaSet?: string): RevisionView[];
  /** undefined: it is not kept. */
  revision(replicaSet: string, revision: number): RevisionDetailView | undefined;
  /** The newest first. */
  rollouts(query: RolloutQuery): PastRolloutView[];
  events(query: EventFilter): EventView[];
  logs(replicaSet: string, query: LogQuery): LogsView;
  requests(filter: RequestsFilter): RequestsView;
  users(): UserView[];
  metrics(query: { series: string; subject?: string; fromMs: number; toMs: number }): MetricsView;
  readonly past: {
    at(atMs: number): Promise<PastView>;
    endpoints(span: { fromMs: number; toMs: number }): Promise<EndpointsPastView>;
  };
  nowMs(): number;
}

export interface RolloutQuery {
  replicaSet?: string;
  /** Only those that began before it. */
  untilMs?: number;
  limit: number;
}

const eventsMax = 1000;
const rolloutsMax = 500;
const eventLevels = ["info", "warn", "error"] as const satisfies readonly EventView["level"][];
const defaultWindowMs = 15 * 60_000;

export function readRoutes(reads: Reads): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  for (
    const path of [
      "/overview",
      "/agents/*",
      "/replicasets/*",
      "/endpoints/*",
      "/revisions/*",
      "/rollouts",
      "/events",
      "/metrics",
      "/past/*",
      "/requests",
    ]
  ) {
    app.get(path, guard("read"));
  }
  app.get("/overview", (c) => c.json(reads.overview()));
  app.get("/agents", (c) => c.json({ agents: reads.overview().agents }));
  app.get(
    "/agents/:name",
    (c) => c.json(find("agent", reads.overview().agents, c.req.param("name"), (at) => at.name)),
  );
  app.get("/replicasets", (c) => c.json({ replicaSets: reads.overview().replicaSets }));
  app.get("/replicasets/:name", (c) => {
    return c.json(find("replicaSet", reads.overview().replicaSets, c.req.param("name"), (at) => at.name));
  });
  app.get("/endpoints", (c) => c.json({ endpoints: reads.overview().endpoints }));
  app.get("/endpoints/:set/:function", (c) => {
    const name = `${c.req.param("set")}/${c.req.param("function")}`;
    return c.json(find("endpoint", reads.overview().endpoints, name, (at) => at.endpoint));
  });
  app.get("/revisions", (c) => c.json({ revisions: reads.revisions(c.req.query("replicaSet")) }));
  app.get("/revisions/:name/:revision", (c) => {
    const { name, revision } = c.req.param();
    find("replicaSet", reads.overview().replicaSets, name, (at) => at.name);
    const detail = reads.revision(name, Number(revision));
    if (detail) return c.json(detail);
    const kept = reads.revisions(name).map((each) => each.revision).join(", ");
    throw new SqwishError("not_found", `There is no revision ${revision} of ${name}; kept are ${kept}`);
  });
  historyRoutes(app, reads);
  app.get("/logs/:name", guard("logs"), (c) => {
    const name = c.req.param("name");
    find("replicaSet", reads.overview().replicaSets, name, (at) => at.name);
    return c.json(reads.logs(name, logQuery(c, reads.nowMs())));
  });
  app.get("/users", guard("read_users"), (c) => c.json({ users: reads.users() }));
  return app;
}

/** What was: events, figures, single requests. */
function historyRoutes(app: Hono<ApiEnv>, reads: Reads): void {
  app.get("/events", (c) => {
    const events = reads.events({
      limit: Math.min(queryNumber(c, "limit") ?? 100, eventsMax),
      afterId: queryNumber(c, "afterId"),
      sinceMs: sinceOf(c, reads.nowMs()),
      untilMs: queryNumber(c, "untilMs"),
      level: queryWord(c, "level", eventLevels),
      subject: c.req.query("subject"),
      kinds: kindsOf(c),
    });
    return c.json({ events });
  });
  app.get("/rollouts", (c) => {
    const limit = Math.min(queryNumber(c, "limit") ?? 100, rolloutsMax);
    const about = { replicaSet: c.req.query("replicaSet"), untilMs: queryNumber(c, "untilMs") };
    return c.json({ rollouts: reads.rollouts({ ...about, limit }) });
  });
  app.get("/metrics", (c) => {
    const series = c.req.query("series") ?? "requests";
    return c.json(reads.metrics({ series, subject: c.req.query("subject"), ...spanOf(c, reads.nowMs()) }));
  });
  app.get("/past", async (c) => c.json(await reads.past.at(queryNumber(c, "atMs") ?? reads.nowMs())));
  app.get(
    "/past/endpoints",
    async (c) => c.json(await reads.past.endpoints(spanOf(c, reads.nowMs()))),
  );
  app.get("/requests", (c) => {
    return c.json(reads.requests({
      endpoint: c.req.query("endpoint"),
      sinceMs: sinceOf(c, reads.nowMs()) ?? 0,
      limit: Math.min(queryNumber(c, "limit") ?? 20, eventsMax),
    }));
  });
}

/** The last 15 minutes unless the query says otherwise. */
function spanOf(c: ApiContext, nowMs: number): { fromMs: number; toMs: number } {
  const toMs = queryNumber(c, "toMs") ?? nowMs;
  return { fromMs: queryNumber(c, "fromMs") ?? toMs - defaultWindowMs, toMs };
}

/** One kind, or several with commas between. Throws `invalid_request` with near misses for what is no kind of event. */
function kindsOf(c: ApiContext): EventKind[] | undefined {
  const names = c.req.query("kind");
  if (names === undefined || names === "") return undefined;
  return names.split(",").map(requireKind);
}

function requireKind(name: string): EventKind {
  const kind = eventKindOf(name);
  if (kind !== undefined) return kind;
  const shown = JSON.stringify(name.slice(0, 60));
  throw new SqwishError(
    "invalid_request",
    `Query parameter kind must be a kind of event, is ${shown}${didYouMean(name, eventNames)}`,
  );
}

/** `sinceMs` is a time, `lastMs` how long ago by the manager's own clock; the later of the two counts. */
function sinceOf(c: ApiContext, nowMs: number): number | undefined {
  const lastMs = queryNumber(c, "lastMs");
  const sinceMs = queryNumber(c, "sinceMs");
  return lastMs === undefined ? sinceMs : Math.max(sinceMs ?? 0, nowMs - lastMs);
}

function logQuery(c: ApiContext, nowMs: number): LogQuery {
  return {
    afterId: queryNumber(c, "afterId"),
    agent: c.req.query("agent"),
    revision: queryNumber(c, "revision"),
    sinceMs: sinceOf(c, nowMs),
    level: queryWord(c, "level", logLevels),
    requestId: c.req.query("requestId"),
    contains: c.req.query("contains"),
    limit: Math.min(queryNumber(c, "limit") ?? 200, eventsMax),
  };
}

function find<Item>(kind: string, items: Item[], name: string, nameOf: (item: Item) => string): Item {
  const item = items.find((candidate) => nameOf(candidate) === name);
  if (item !== undefined) return item;
  throw notFound(kind, name, items.map(nameOf));
}
