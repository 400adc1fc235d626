/** Modules of many kinds as users write them, by path: what the flow test of modules deploys. */

export const kinds = {
  "kinds.ts": `import { half, type Size } from "./lib/sizes.ts";
    import type { Context } from "sqwish";
    enum Colour { Red = 1, Green }
    namespace Words { export const green = "green"; }
    interface Input { colour: keyof typeof Colour; size: Size }
    /** Paints in a colour. And more. */
    export function paint({ colour, size }: Input, ctx: Context): { id: Colour; word: string; size: Size } {
      ctx.log.info("painting", colour);
      return { id: Colour[colour], word: Words.green, size: half(size) satisfies Size };
    }
    export class Painter { constructor(private readonly name: string) {} }
    export const reverse = (bytes: Uint8Array) => bytes.toReversed();`,
  "lib/sizes.ts": `export interface Size { width: number; height: number }
    export function half<T extends Size>({ width, height }: T): Size {
      return { width: width / 2, height: height / 2 };
    }`,
  "plain.js":
    `export function plain(input) { return [input, typeof Deno, import.meta.url.endsWith("plain.js")]; }`,
};

export const context = {
  "context.ts": `import type { Context } from "sqwish";
    const seen: string[] = [];
    export function tell(input: unknown, ctx: Context) {
      console.log("told", input);
      ctx.log.warn("as warned");
      const { endpoint, requestId, attempt, headers, env } = ctx;
      return { endpoint, requestId, attempt, headers, env };
    }
    export async function remaining(ms: number, ctx: Context) {
      const first = ctx.remainingMs;
      await new Promise((done) => setTimeout(done, ms));
      return [first, ctx.remainingMs];
    }
    export function hold(name: string, ctx: Context) {
      seen.push(name + " holds");
      return new Promise((done) => ctx.signal.addEventListener("abort", () => {
        seen.push(name + " " + ctx.signal.reason.code);
        done(null);
      }));
    }
    export async function* count(input: { to: number; name: string }) {
      let made = 0;
      try { while (made < input.to) yield ++made; } finally { seen.push(input.name + " made " + made); }
    }
    export const whatWasSeen = () => seen;
    export async function double(n: number, ctx: Context) {
      return 2 * await ctx.invoke<number>("context/add", { left: n, right: 0 }, { headers: { from: "double" } });
    }
    export const add = ({ left, right }: { left: number; right: number }) => left + right;
    export async function colour(name: string, ctx: Context) {
      return await ctx.invoke("kinds/paint", { colour: name, size: { width: 2, height: 4 } });
    }
    export async function failsInside(endpoint: string, ctx: Context) {
      try {
        return await ctx.invoke(endpoint, "x", { timeoutMs: 300 });
      } catch (thrown) {
        return { code: thrown.code, message: thrown.message };
      }
    }
    export const passesOn = (endpoint: string, ctx: Context) => ctx.invoke(endpoint);
    export function breaks() { throw new RangeError("too far"); }
    export const endpoints = {
      add: {
        description: "Adds two numbers",
        input: { type: "object", required: ["left"], properties: { left: { type: "number" } } },
        idempotent: true,
      },
      hold: { timeoutMs: 1500 },
    };`,
};
