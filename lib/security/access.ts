/**
 * Who may do what: one table of roles and operations, asked by every route and by the join socket.
 * Invariant: what the table doesn't list is forbidden.
 */
import type { MiddlewareHandler } from "hono";
import { SqwishError } from "../errors.ts";

export const roles = ["admin", "operator", "client", "viewer", "agent"] as const;
export type Role = (typeof roles)[number];

/** Who sent a request, once authenticated. */
export interface Principal {
  name: string;
  role: Role;
  /** Patterns of the endpoints a `client` may invoke: `*`, `images/*`, `images/resize`. */
  endpoints: string[];
  /** Signed in with a token for one use: good for joining, nothing else. */
  once?: boolean;
}

const humans = ["admin", "operator", "client", "viewer"] as const;
const operators = ["admin", "operator"] as const;
const admins = ["admin"] as const;

/** The roles that may do each operation. */
const table = {
  join_agent: ["admin", "agent"],
  join_client: humans,
  /** For `client` within its endpoint patterns: `mayInvoke()`. */
  invoke: ["admin", "operator", "client"],
  /** Agents, replicaSets, endpoints, revisions, events, metrics, the dashboard. */
  read: humans,
  read_users: admins,
  deploy: operators,
  scale: operators,
  delete: operators,
  /** Pause, resume and undo. */
  rollout: operators,
  /** Also cordon and uncordon. */
  drain: operators,
  /** What modules print. */
  logs: operators,
  manage_users: admins,
  manage_tokens: admins,
} as const satisfies Record<string, readonly Role[]>;

export type Operation = keyof typeof table;
export const operations = Object.keys(table) as Operation[];

/** The roles that may do `operation`, the mightiest first. */
export function rolesAllowed(operation: Operation): readonly Role[] {
  return table[operation];
}

/** True when the table lets `role` do `operation`. */
export function isAllowed(role: Role, operation: Operation): boolean {
  return rolesAllowed(operation).includes(role);
}

/** True for the name of a role; for texts from the command line and from requests. */
export function isRole(value: unknown): value is Role {
  return roles.includes(value as Role);
}

/** Behind "may not", where the name of the operation is no verb. */
const operationWords: Partial<Record<Operation, string>> = {
  logs: "read logs",
  rollout: "pause, resume or undo rollouts",
};

/** Throws `forbidden`, naming the role, the operation and who could. */
export function requireAllowed(principal: Principal, operation: Operation): void {
  const words = operationWords[operation] ?? operation.replaceAll("_", " ");
  if (principal.once && !operation.startsWith("join_")) {
    throw new SqwishError(
      "forbidden",
      `User ${principal.name} may not ${words} with a join token for one use; join with it first`,
      { details: { role: principal.role, operation } },
    );
  }
  if (isAllowed(principal.role, operation)) return;
  const allowed = rolesAllowed(operation);
  throw new SqwishError(
    "forbidden",
    `User ${principal.name} has the role ${principal.role}, which may not ${words}; ${
      allowed.join(" or ")
    } may`,
    { details: { role: principal.role, operation, rolesAllowed: allowed } },
  );
}

/**
 * True when the principal may invoke the endpoint (`images/resize`). Only clients are bound by their
 * patterns.
 */
export function mayInvoke(principal: Principal, endpoint: string): boolean {
  if (principal.once || !isAllowed(principal.role, "invoke")) return false;
  if (principal.role !== "client") return true;
  return principal.endpoints.some((pattern) => matches(pattern, endpoint));
}

/** Throws `invalid_request` for a pattern that could never match what its author meant. */
export function requireEndpointPatterns(patterns: readonly string[]): void {
  for (const pattern of patterns) {
    if (/^(\*|[a-z0-9][a-z0-9.-]*\/(\*|[\w$]+))$/.test(pattern)) continue;
    throw new SqwishError(
      "invalid_request",
      `An endpoint pattern must be "*", "set/*" or "set/function", is ${
        JSON.stringify(pattern.slice(0, 300))
      }`,
    );
  }
}

/**
 * Hono middleware: lets a request pass when `c.get("principal")`, set by the sign-in before it, may do
 * `operation`.
 */
export function guard(operation: Operation): MiddlewareHandler<{ Variables: { principal: Principal } }> {
  return async (c, next) => {
    const principal: Principal | undefined = c.get("principal");
    if (!principal) {
      throw new SqwishError("unauthenticated", "This request needs a user name and password, it has none");
    }
    requireAllowed(principal, operation);
    await next();
  };
}

function matches(pattern: string, endpoint: string): boolean {
  if (pattern === "*" || pattern === endpoint) return true;
  return pattern.endsWith("/*") && endpoint.startsWith(pattern.slice(0, -1));
}
