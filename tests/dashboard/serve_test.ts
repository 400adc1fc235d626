/** The dashboard's files as a browser gets them: headers, caching, compression, and nothing from elsewhere. */
import assert from "node:assert/strict";
import { createDashboard } from "../../dashboard/serve.ts";

const dashboard = createDashboard();
const folder = new URL("../../dashboard/", import.meta.url);

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return await dashboard.request(path, { headers });
}

/** Every file that the page names, directly or through a module's imports. */
async function namedFiles(): Promise<string[]> {
  const named = new Set<string>(["/"]);
  for (const path of named) {
    const text = await (await get(path)).text();
    const patterns = path === "/"
      ? /(?:href|src)="([^"]+)"/g
      : /^import .* from "\.\/([^"]+)"|^\} from "\.\/([^"]+)"/gm;
    if (path !== "/" && !path.endsWith(".js")) continue;
    for (const match of text.matchAll(patterns)) named.add(`/${match[1] ?? match[2]}`);
  }
  return [...named];
}

Deno.test("every file that the page names is served with its type", async () => {
  const types: Record<string, string> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  const paths = await namedFiles();
  assert.ok(paths.length > 20, `only ${paths} are named`);
  for (const path of paths) {
    const response = await get(path);
    assert.equal(response.status, 200, path);
    const type = path === "/" ? "text/html" : types[path.split(".").at(-1)!];
    assert.ok(response.headers.get("content-type")?.startsWith(type), path);
    assert.equal(await response.text().then((text) => text.length > 0), true, path);
  }
});

Deno.test("every script and sheet of the folder is served, so that none is forgotten in the list", async () => {
  for await (const { name } of Deno.readDir(folder)) {
    if (!/\.(js|css|svg)$/.test(name)) continue;
    assert.equal((await get(`/${name}`)).status, 200, name);
  }
});

Deno.test("each answer forbids foreign and inline scripts, framing and guessing of types", async () => {
  for (const path of ["/", "/page.js", "/style.css", "/uplot.js"]) {
    const { headers } = await get(path);
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'self'/);
    assert.match(policy, /script-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("strict-transport-security"), null);
  }
});

Deno.test("the page has no inline script, style or handler, and names no other origin", async () => {
  const html = await (await get("/")).text();
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)/);
  assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=/);
  for (const path of await namedFiles()) {
    const text = await (await get(path)).text();
    const addresses = [...text.matchAll(/\b(?:src|href|url|from|import|fetch)\W{1,3}(https?:)?\/\/[\w.]+/g)];
    assert.deepEqual(addresses.map(([address]) => address), [], path);
  }
});

Deno.test("an unchanged file costs a 304, a changed tag the whole file", async () => {
  const first = await get("/page.js");
  const etag = first.headers.get("etag");
  assert.match(etag ?? "", /^"[\w-]{22}"$/);
  assert.equal(first.headers.get("cache-control"), "no-cache");
  for (const tags of [etag!, `"other", ${etag}`, `W/${etag}`, "*"]) {
    const again = await get("/page.js", { "if-none-match": tags });
    assert.equal(again.status, 304, tags);
    assert.equal(await again.text(), "");
    assert.equal(again.headers.get("etag"), etag);
  }
  assert.equal((await get("/page.js", { "if-none-match": '"other"' })).status, 200);
});

Deno.test("a browser that takes gzip gets the same text compressed, another gets it plain", async () => {
  const plain = await (await get("/uplot.js")).text();
  const packed = await get("/uplot.js", { "accept-encoding": "br, gzip;q=0.8" });
  assert.equal(packed.headers.get("content-encoding"), "gzip");
  assert.equal(packed.headers.get("vary"), "accept-encoding");
  const unpacked = packed.body!.pipeThrough(new DecompressionStream("gzip"));
  assert.equal(await new Response(unpacked).text(), plain);
  for (const refused of ["", "br", "gzip;q=0", "gzip; q=0.000"]) {
    const response = await get("/uplot.js", { "accept-encoding": refused });
    assert.equal(response.headers.get("content-encoding"), null, refused);
    assert.equal(await response.text(), plain);
  }
});

Deno.test("the whole page is under 120 KB on the wire", async () => {
  let total = 0;
  for (const path of await namedFiles()) {
    total += (await (await get(path, { "accept-encoding": "gzip" })).arrayBuffer()).byteLength;
  }
  assert.ok(total > 20_000 && total < 120_000, `${total} bytes`);
});

Deno.test("nothing but the named files is served", async () => {
  for (const path of ["/serve.ts", "/index.html", "/../deno.json", "/%2e%2e/deno.json", "/nothing.js"]) {
    assert.equal((await get(path)).status, 404, path);
  }
});
