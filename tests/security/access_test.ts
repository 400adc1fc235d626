import assert from "node:assert/strict";
import { Hono } from "hono";
import { SqwishError } from "../../lib/errors.ts";
import {
  guard,
  isAllowed,
  isRole,
  mayInvoke,
  type Operation,
  operations,
  type Principal,
  requireAllowed,
  requireEndpointPatterns,
  type Role,
  roles,
} from "../../lib/security/access.ts";
import { rejectsWith } from "./rejects_with.ts";

function principal(role: Role, endpoints: string[] = []): Principal {
  return { name: "ada", role, endpoints };
}

// Written out a second time on purpose: a change of who may do what must be made twice.
const expected: Record<Role, Operation[]> = {
  admin: operations,
  operator: ["join_client", "invoke", "read", "deploy", "scale", "delete", "rollout", "drain", "logs"],
  client: ["join_client", "invoke", "read"],
  viewer: ["join_client", "read"],
  agent: ["join_agent"],
};

Deno.test("every role may do exactly what is its own", async () => {
  for (const role of roles) {
    for (const operation of operations) {
      const may = expected[role].includes(operation);
      assert.equal(isAllowed(role, operation), may, `${role} ${operation}`);
      if (may) requireAllowed(principal(role), operation);
      else await rejectsWith(() => requireAllowed(principal(role), operation), "forbidden", role);
    }
  }
});

Deno.test("a refusal names the user, the role, the operation and who could", async () => {
  const error = await rejectsWith(() => requireAllowed(principal("viewer"), "manage_users"), "forbidden", "");
  assert.equal(error.message, "User ada has the role viewer, which may not manage users; admin may");
  const logs = await rejectsWith(() => requireAllowed(principal("client"), "logs"), "forbidden", "");
  assert.match(logs.message, /which may not read logs; admin or operator may$/);
  assert.deepEqual(error.details.rolesAllowed, ["admin"]);
});

Deno.test("a client invokes what its patterns allow, an operator everything, viewers and agents nothing", () => {
  const cases: [string[], string, boolean][] = [
    [["*"], "images/resize", true],
    [["images/*"], "images/resize", true],
    [["images/*"], "images2/resize", false],
    [["images/resize"], "images/resize", true],
    [["images/resize"], "images/resizeAll", false],
    [["texts/*", "images/crop"], "images/resize", false],
    [[], "images/resize", false],
  ];
  for (const [patterns, endpoint, may] of cases) {
    assert.equal(mayInvoke(principal("client", patterns), endpoint), may, `${patterns} ${endpoint}`);
  }
  assert.equal(mayInvoke(principal("operator"), "images/resize"), true);
  assert.equal(mayInvoke(principal("admin"), "images/resize"), true);
  assert.equal(mayInvoke(principal("viewer", ["*"]), "images/resize"), false);
  assert.equal(mayInvoke(principal("agent", ["*"]), "images/resize"), false);
});

Deno.test("a token for one use joins and does nothing else", async () => {
  const once: Principal = { ...principal("client", ["*"]), once: true };
  requireAllowed(once, "join_client");
  await rejectsWith(() => requireAllowed(once, "read"), "forbidden", "join with it first");
  assert.equal(mayInvoke(once, "images/resize"), false);
});

Deno.test("`requireEndpointPatterns()` refuses patterns that could never match, naming the first", async () => {
  requireEndpointPatterns(["*", "images/*", "images/resize", "my.set-2/do_it$"]);
  for (
    const pattern of ["", "images", "images/", "/resize", "*/resize", "images/re*", "**", "a/b/c", "Images/*"]
  ) {
    await rejectsWith(
      () => requireEndpointPatterns(["*", pattern]),
      "invalid_request",
      JSON.stringify(pattern),
    );
  }
});

Deno.test("`isRole()` knows the roles and nothing else", () => {
  assert.equal(roles.every(isRole), true);
  for (const value of ["root", "", null, 1, "toString"]) assert.equal(isRole(value), false);
});

Deno.test("`guard()` lets through who may, answers 403 to others and 401 to nobody", async () => {
  const app = new Hono<{ Variables: { principal: Principal } }>();
  app.use(async (c, next) => {
    const role = c.req.header("test-role");
    if (isRole(role)) c.set("principal", principal(role));
    await next();
  });
  app.onError((error) => Response.json({}, { status: error instanceof SqwishError ? error.http : 500 }));
  app.post("/deploy", guard("deploy"), (c) => c.text("deployed"));
  async function status(role?: string): Promise<number> {
    return (await app.request("/deploy", { method: "POST", headers: role ? { "test-role": role } : {} }))
      .status;
  }
  assert.equal(await status("operator"), 200);
  assert.equal(await status("client"), 403);
  assert.equal(await status(), 401);
});
