/** `/openapi.json`: OpenAPI 3.1 of the endpoints that the agents have shown, made anew for each request. */
import type { EndpointView } from "../../protocol/views.ts";
import { errorTable } from "../../errors.ts";

/** A plain OpenAPI document. Input schemas come from the modules; replies are JSON or bytes. */
export function describeOpenApi(
  cluster: string,
  version: string,
  endpoints: EndpointView[],
): Record<string, unknown> {
  const paths: Record<string, unknown> = {};
  for (const endpoint of endpoints) {
    paths[`/v1/invoke/${endpoint.endpoint}`] = { post: operationOf(endpoint) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: `Endpoints of ${cluster}`,
      version,
      description: "Made from what the running modules export.",
    },
    servers: [{ url: "/" }],
    security: [{ basic: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        basic: { type: "http", scheme: "basic" },
        bearer: { type: "http", scheme: "bearer" },
      },
      responses: { Error: errorResponse() },
    },
  };
}

function operationOf(endpoint: EndpointView): Record<string, unknown> {
  const replyType = endpoint.stream ? "text/event-stream" : "application/json";
  return {
    operationId: endpoint.endpoint.replaceAll(/[^\w]/g, "_"),
    tags: [endpoint.replicaSet],
    summary: endpoint.description ?? endpoint.endpoint,
    parameters: [
      {
        name: "Sqwish-Timeout-Ms",
        in: "header",
        schema: { type: "integer", minimum: 1 },
        description: `The endpoint's own timeout is ${endpoint.timeoutMs ?? "the replicaSet's"} ms`,
      },
      {
        name: "Sqwish-Idempotent",
        in: "header",
        schema: { type: "boolean", default: endpoint.idempotent ?? false },
      },
    ],
    requestBody: {
      required: false,
      content: {
        "application/json": { schema: endpoint.input ?? {} },
        "application/octet-stream": { schema: { type: "string", format: "binary" } },
      },
    },
    responses: {
      "200": {
        description: "The endpoint's reply",
        headers: {
          "Sqwish-Timing": { schema: { type: "string" }, description: "queue, run and total time in ms" },
          "Sqwish-Request-Id": { schema: { type: "string" } },
        },
        content: {
          [replyType]: { schema: {} },
          "application/octet-stream": { schema: { type: "string", format: "binary" } },
        },
      },
      default: { $ref: "#/components/responses/Error" },
    },
  };
}

function errorResponse(): Record<string, unknown> {
  return {
    description: "One error of the table",
    headers: {
      "Sqwish-Request-Id": { schema: { type: "string" }, description: "of a request that was let in" },
    },
    content: {
      "application/json": {
        schema: {
          type: "object",
          required: ["error"],
          properties: {
            error: {
              type: "object",
              required: ["code", "message", "details"],
              properties: {
                code: { type: "string", enum: Object.keys(errorTable) },
                message: { type: "string" },
                details: { type: "object" },
              },
            },
          },
        },
      },
    },
  };
}
