/**
 * The HTTP API put together: open routes, sign-in, reads, changes, invoke, live view, dashboard. The same app answers
 * HTTP requests and the `call` frames of joined clients; only how the principal is known differs.
 */
import { Hono } from "hono";
import type { ErrorHandler } from "hono";
import { asSqwishError, describeError, SqwishError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { prometheusContentType } from "../../metrics/prometheus.ts";
import { guard } from "../../security/access.ts";
import { changeRoutes, type Changes } from "./changes.ts";
import type { ApiEnv } from "./context.ts";
import { errorHeaders, isFromPage } from "./http_error.ts";
import { invokeOverHttp, type InvokePort } from "./invoke.ts";
import type { Live } from "./live.ts";
import { describeOpenApi } from "./openapi.ts";
import { readRoutes, type Reads } from "./reads.ts";
import { requirePrincipal, sessionRoutes, type SignIn } from "./sign_in.ts";

export interface ApiOptions {
  cluster: string;
  version: string;
  caPem: string;
  log: Log;
  signIn: SignIn;
  reads: Reads;
  changes: Changes;
  invoke: InvokePort;
  live: Live;
  /** Resolves when every change so far is on the disk. */
  synced(): Promise<void>;
  /** The Prometheus text. */
  prometheus(): string;
  dashboard: Hono;
}

export function createApi(options: ApiOptions): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  const signedIn = requirePrincipal(options.signIn);
  app.onError(answerError(options.log));
  app.notFound((c) => {
    return c.json(
      new SqwishError(
        "not_found",
        `There is nothing at ${c.req.method} ${c.req.path}; docs/http.md lists the routes, /openapi.json the endpoints`,
      ),
      404,
    );
  });
  app.get("/healthz", (c) => c.json({ status: "ok", version: options.version }));
  app.get("/ca.pem", (c) => c.body(options.caPem, 200, { "content-type": "application/x-pem-file" }));
  app.get("/metrics", signedIn, guard("read"), (c) => {
    return c.body(options.prometheus(), 200, { "content-type": prometheusContentType });
  });
  app.get("/openapi.json", signedIn, guard("read"), (c) => {
    return c.json(describeOpenApi(options.cluster, options.version, options.reads.overview().endpoints));
  });
  app.route("/v1/session", sessionRoutes(options.signIn));
  app.use("/v1/*", signedIn);
  app.post("/v1/invoke/:set/:function", guard("invoke"), (c) => {
    return invokeOverHttp(c, options.invoke, `${c.req.param("set")}/${c.req.param("function")}`);
  });
  app.all("/v1/invoke/:set/:function", (c) => {
    const message = `An endpoint is invoked with POST, not with ${c.req.method}`;
    return c.json(new SqwishError("invalid_request", message), 405, { allow: "POST" });
  });
  app.get("/v1/live", guard("read"), () => options.live.response());
  app.route("/v1", readRoutes(options.reads));
  app.use("/v1/*", async (c, next) => {
    await next();
    // Nobody is told that something is done which a power cut could still undo.
    if (c.req.method !== "GET") await options.synced();
  });
  app.route("/v1", changeRoutes(options.changes));
  app.route("/", options.dashboard);
  return app;
}

/** The thrown error as its JSON; what was not foreseen is logged whole and answered as `internal`. */
function answerError(log: Log): ErrorHandler<ApiEnv> {
  return (thrown, c) => {
    const error = asSqwishError(thrown, `${c.req.method} ${c.req.path}`);
    if (error.code === "internal") {
      log.error("request failed", { route: `${c.req.method} ${c.req.path}`, error: describeError(thrown) });
    }
    const headers = errorHeaders(error, isFromPage(c.req.header("sec-fetch-mode")));
    return new Response(JSON.stringify(error), { status: error.http, headers });
  };
}
