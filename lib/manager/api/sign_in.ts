/**
 * Who is asking: Basic, Bearer or the dashboard's cookie, in that order; and the session routes.
 * What a browser adds by itself, a cookie or a remembered password, counts for changes only when the page came from
 * this manager (Origin), so another site can't use it.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import * as v from "valibot";
import { SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Principal } from "../../security/access.ts";
import { type ApiContext, type ApiEnv, readJson } from "./context.ts";

export interface SignIn {
  authenticate(attempt: { user: string; password: string; address: string }): Promise<Principal>;
  /** A session token for the dashboard's cookie or for Bearer. */
  issueSession(principal: Principal): string;
  /** Throws `unauthenticated`. */
  verifySession(token: string): Principal;
}

/** Whoever signed in a moment ago, as long as nothing has changed since. */
export interface Standing {
  /** Null: it must be signed in anew, which also says why. */
  principal(): Principal | null;
}

const cookieName = "sqwish_session";

/** Sets `principal` or throws `unauthenticated`. */
export function requirePrincipal(signIn: SignIn): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    c.set("principal", c.env.principal ?? await principalOf(c, signIn));
    await next();
  };
}

async function principalOf(c: ApiContext, signIn: SignIn): Promise<Principal> {
  const isChange = c.req.method !== "GET" && c.req.method !== "HEAD";
  // Programs send no Origin; browsers send it with every change.
  if (isChange && c.req.header("origin") !== undefined) requireOwnOrigin(c);
  const header = c.req.header("authorization");
  if (header !== undefined) return await signInBy(header, c.env.remoteAddress, signIn);
  const cookie = getCookie(c, cookieName);
  if (cookie === undefined) {
    throw new SqwishError("unauthenticated", "This request needs a user name and password, it has none");
  }
  if (isChange) requireOwnOrigin(c);
  return signIn.verifySession(cookie);
}

/** By the value of an `Authorization` header. Throws `unauthenticated`. */
export async function signInBy(
  header: string,
  address: string,
  signIn: Pick<SignIn, "authenticate" | "verifySession">,
): Promise<Principal> {
  const [scheme, value = ""] = header.split(" ", 2);
  if (/^basic$/i.test(scheme)) return await signIn.authenticate({ ...parseBasic(value), address });
  if (/^bearer$/i.test(scheme)) return signIn.verifySession(value);
  throw new SqwishError(
    "unauthenticated",
    `Authorization must be Basic or Bearer, is ${scheme.slice(0, 20)}`,
  );
}

function requireOwnOrigin(c: ApiContext): void {
  const origin = c.req.header("origin");
  const host = c.req.header("host");
  // "null" is what a page without an origin of its own says.
  if (origin !== undefined && URL.canParse(origin) && new URL(origin).host === host) return;
  throw new SqwishError(
    "forbidden",
    `A change from a page must come from this manager's own page, not ${origin ?? "nowhere"}`,
  );
}

/** The user and password of a Basic value (RFC 7617), UTF-8. */
export function parseBasic(value: string): { user: string; password: string } {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(atob(value), (char) => char.charCodeAt(0)),
    );
  } catch (cause) {
    throw new SqwishError("unauthenticated", "Basic authentication must be base64 of user:password", {
      cause,
    });
  }
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new SqwishError("unauthenticated", "Basic authentication must be base64 of user:password");
  }
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

const signInSchema = v.strictObject({ user: v.string(), password: v.string() });

/** `POST`, `GET` and `DELETE /v1/session`. */
export function sessionRoutes(signIn: SignIn): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  app.post("/", async (c) => {
    // Else another site could sign a browser in as somebody of its own choice.
    if (c.req.header("origin") !== undefined) requireOwnOrigin(c);
    const attempt = await readJson(c, signInSchema);
    const principal = await signIn.authenticate({ ...attempt, address: c.env.remoteAddress });
    if (principal.role === "agent" || principal.once) {
      throw new SqwishError(
        "forbidden",
        `User ${principal.name} is for joining agents and can't sign in here`,
      );
    }
    const token = signIn.issueSession(principal);
    setCookie(c, cookieName, token, {
      httpOnly: true,
      secure: true,
      sameSite: "Strict",
      path: "/",
      maxAge: Math.floor(limits.sessionMs / 1000),
    });
    return c.json({ user: userOf(principal), token });
  });
  app.get("/", requirePrincipal(signIn), (c) => c.json({ user: userOf(c.get("principal")) }));
  app.delete("/", (c) => {
    deleteCookie(c, cookieName, { path: "/", secure: true });
    return c.json({});
  });
  return app;
}

function userOf(principal: Principal) {
  return { name: principal.name, role: principal.role, endpoints: principal.endpoints };
}
