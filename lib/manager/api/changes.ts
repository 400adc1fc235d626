/** The routes that change the cluster: deploy, scale, undo, delete, cordon, users and tokens. Each by role. */
import { Hono } from "hono";
import * as v from "valibot";
import { limits } from "../../limits.ts";
import type { DeployRequest, DeployView } from "../../protocol/deploy_views.ts";
import type { UserView } from "../../protocol/views.ts";
import { guard, type Principal, type Role, roles } from "../../security/access.ts";
import type { TokenWish } from "../accounts.ts";
import { type ApiEnv, readJson } from "./context.ts";

export interface Changes {
  deploy(request: DeployRequest, by: Principal): Promise<DeployView>;
  /** "auto": as its specification says. What has no place for now, in words. */
  scale(name: string, replicas: number | "all" | "auto", by: Principal): Promise<{ warnings: string[] }>;
  /** Holds a rollout, or lets it go on. */
  pause(name: string, paused: boolean, by: Principal): void;
  undo(name: string, toRevision: number | undefined, by: Principal): DeployView;
  remove(name: string, by: Principal): void;
  cordon(agent: string, cordoned: boolean, by: Principal): void;
  /** Cordons an agent and moves what it runs to others; what would be left without a place, in words. */
  drain(agent: string, by: Principal): { warnings: string[] };
  /** Forgets an agent that is gone for good. `accounts`: what it can't sign in with any more. */
  removeAgent(agent: string, by: Principal): { accounts: string[] };
  addUser(
    user: { name: string; role: Role; endpoints: string[]; password?: string },
  ): Promise<{ user: UserView; password: string }>;
  setPassword(name: string, password: string | undefined): Promise<{ password: string }>;
  removeUser(name: string, by: Principal): void;
  createToken(token: TokenWish): Promise<{ token: string }>;
}

const deploySchema = v.strictObject({
  replicaSet: v.looseObject({ name: v.string(), version: v.string() }),
  modules: v.array(
    v.strictObject({
      path: v.string(),
      source: v.optional(v.string()),
      entry: v.boolean(),
      base64: v.string(),
    }),
  ),
  force: v.optional(v.boolean()),
  dryRun: v.optional(v.boolean()),
  rescale: v.optional(v.boolean()),
  keepSettings: v.optional(v.boolean()),
});
const deployBytesMax = Math.ceil(limits.setBytesMax * 4 / 3) + limits.controlBytesMax;
const replicasMessage = 'must be a whole number from 0 to 1000, "all" or "auto"';
const replicasSchema = v.union([
  v.literal("all"),
  v.literal("auto"),
  v.pipe(
    v.number(),
    v.integer(replicasMessage),
    v.minValue(0, replicasMessage),
    v.maxValue(1000, replicasMessage),
  ),
], replicasMessage);
const userSchema = v.strictObject({
  name: v.string(),
  role: v.picklist(roles),
  endpoints: v.optional(v.array(v.string()), []),
  password: v.optional(v.string()),
});
/** A hundred years: later than that is no date any more. */
const lifetimeMsMax = 100 * 365 * 24 * 3600_000;
const tokenSchema = v.strictObject({
  role: v.picklist(["agent", "client"]),
  access: v.optional(v.picklist(["admin", "operator", "client", "viewer"])),
  lifetimeMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1000), v.maxValue(lifetimeMsMax))),
  once: v.optional(v.boolean(), false),
});

export function changeRoutes(changes: Changes): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.post("/replicasets", guard("deploy"), async (c) => {
    return c.json(await changes.deploy(await readJson(c, deploySchema, deployBytesMax), c.get("principal")));
  });
  app.put("/replicasets/:name/replicas", guard("scale"), async (c) => {
    const { replicas } = await readJson(c, v.strictObject({ replicas: replicasSchema }));
    return c.json(await changes.scale(c.req.param("name"), replicas, c.get("principal")));
  });
  app.post("/replicasets/:name/pause", guard("rollout"), (c) => {
    changes.pause(c.req.param("name"), true, c.get("principal"));
    return c.json({});
  });
  app.post("/replicasets/:name/resume", guard("rollout"), (c) => {
    changes.pause(c.req.param("name"), false, c.get("principal"));
    return c.json({});
  });
  app.post("/replicasets/:name/rollback", guard("rollout"), async (c) => {
    const schema = v.strictObject({ toRevision: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))) });
    const { toRevision } = await readJson(c, schema);
    return c.json(changes.undo(c.req.param("name"), toRevision, c.get("principal")));
  });
  app.delete("/replicasets/:name", guard("delete"), (c) => {
    changes.remove(c.req.param("name"), c.get("principal"));
    return c.json({});
  });
  app.put("/agents/:name/cordon", guard("drain"), async (c) => {
    const { cordoned } = await readJson(c, v.strictObject({ cordoned: v.boolean() }));
    changes.cordon(c.req.param("name"), cordoned, c.get("principal"));
    return c.json({});
  });
  app.post("/agents/:name/drain", guard("drain"), (c) => {
    return c.json(changes.drain(c.req.param("name"), c.get("principal")));
  });
  app.delete("/agents/:name", guard("delete"), (c) => {
    return c.json(changes.removeAgent(c.req.param("name"), c.get("principal")));
  });
  app.post("/users", guard("manage_users"), async (c) => {
    return c.json(await changes.addUser(await readJson(c, userSchema)));
  });
  app.put("/users/:name/password", guard("manage_users"), async (c) => {
    const { password } = await readJson(c, v.strictObject({ password: v.optional(v.string()) }));
    return c.json(await changes.setPassword(c.req.param("name"), password));
  });
  app.delete("/users/:name", guard("manage_users"), (c) => {
    changes.removeUser(c.req.param("name"), c.get("principal"));
    return c.json({});
  });
  app.post("/tokens", guard("manage_tokens"), async (c) => {
    return c.json(await changes.createToken(await readJson(c, tokenSchema)));
  });
  return app;
}
