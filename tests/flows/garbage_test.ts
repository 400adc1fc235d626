/**
 * Garbage on the manager's port: bytes that are no TLS, no HTTP, no upgrade, no WebSocket frame and no message of
 * ours, and peers that say nothing. Each that can read gets its reason, and the agent beside them works on.
 */
import assert from "node:assert/strict";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, patienceMs } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { errorIn } from "../support/failures.ts";
import {
  basic,
  connectTls,
  httpText,
  maskedFrame,
  readUntil,
  talk,
  upgradeText,
} from "../support/raw_peer.ts";

/** What a peer sends, piece by piece, and what it must read before the manager closes. */
type Case = [pieces: (string | number[])[], says: RegExp];

Deno.test("garbage on the port is answered in words, and the cluster goes on", async (t) => {
  await using stack = new AsyncDisposableStack();
  const cluster = await startCluster({ agents: 1 });
  stack.defer(() => cluster.close());
  const sqwish = await cluster.connect();
  await deployed(sqwish, "probe", { "probe.ts": "export const echo = (input: unknown) => input;" });
  const silent = silentPeers(cluster);
  const step = (name: string, action: () => Promise<void>) =>
    t.step(name, async () => {
      await action();
      assert.equal(await sqwish.invoke("probe/echo", "alive", { timeoutMs: patienceMs }), "alive");
    });
  await step("bytes that are no TLS", () => noTls(cluster));
  await step("TLS that is no HTTP", () => talkAll(cluster, noHttp()));
  await step("HTTP that is no join", () => talkAll(cluster, noJoin(cluster)));
  await step("a join with broken WebSocket frames", () => talkAll(cluster, noFrames(cluster)));
  await step("messages that are none of ours", () => talkAll(cluster, noMessages(cluster)));
  await step("input that is no JSON", () => noJson(cluster));
  await step("peers that say nothing", () => silent);
  await eventually(
    "nobody is left",
    async () => (await cluster.overview()).cluster.clients === 1,
    patienceMs,
  );
});

async function talkAll(cluster: Cluster, cases: Case[]): Promise<void> {
  await Promise.all(cases.map(async ([pieces, says]) => {
    assert.match(await talk(await connectTls(cluster), ...pieces), says);
  }));
}

async function noTls(cluster: Cluster): Promise<void> {
  const noise = crypto.getRandomValues(new Uint8Array(4096));
  for (const bytes of [noise, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: manager\r\n\r\n")]) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: cluster.port });
    await connection.write(bytes);
    await readUntil(connection);
    connection.close();
  }
}

function noHttp(): Case[] {
  const says =
    /^HTTP\/1\.1 4\d\d .*"code":"invalid_request","message":"The manager reads HTTP requests whose method, path and headers are well-formed/s;
  return [
    [["\x16\x03\x01 garbage\r\n\r\n"], says],
    [["FROB / HTTP/9.9\r\n\r\n"], says],
    [[httpText("GET", "/", { Host: "a b\\c" })], says],
    [[httpText("GET", "/healthz", { "X-Long": "a".repeat(300_000) })], /^HTTP\/1\.1 413 .*"too_large"/s],
    [[httpText("POST", "/v1/users", { "Transfer-Encoding": "chunked" }) + "no length\r\n"], says],
  ];
}

function noJoin(cluster: Cluster): Case[] {
  const upgrade = (changes: Record<string, string>, path?: string) => [upgradeText(cluster, changes, path)];
  const admin = basic("admin", cluster.adminPassword);
  return [
    [
      upgrade({ "Sec-WebSocket-Protocol": "sqwish.9" }),
      /^HTTP\/1\.1 426 .*"version_mismatch".*speaks sqwish\.1, the peer offers sqwish\.9; install the same version on both/s,
    ],
    [upgrade({ "Sec-WebSocket-Version": "8" }), /^HTTP\/1\.1 400 .*must be a WebSocket of version 13/s],
    [upgrade({ "Sec-WebSocket-Key": "short" }), /^HTTP\/1\.1 400 .*with a valid key/s],
    [
      upgrade({}, "/v1/elsewhere"),
      /^HTTP\/1\.1 404 .*Only \/v1\/join takes WebSockets, asked was \/v1\/elsewhere/s,
    ],
    [upgrade({ Authorization: "Basic !" }), /^HTTP\/1\.1 401 .*"unauthenticated".*base64 of user:password/s],
    [upgrade({ Authorization: "Bearer x" }), /^HTTP\/1\.1 401 .*A join needs Authorization: Basic/s],
    [upgrade({ Authorization: basic("", "") }), /^HTTP\/1\.1 401 .*The user name or password is wrong/s],
    [
      [httpText("GET", "/v1/join", { Authorization: admin })],
      /^HTTP\/1\.1 400 .*A join must be a GET request with Upgrade: websocket/s,
    ],
  ];
}

/** By hand (RFC 6455, section 5.2). */
function noFrames(cluster: Cluster): Case[] {
  const upgrade = upgradeText(cluster);
  return [
    [[upgrade, [0x81, 2, 0x68, 0x69]], /the mask bit is wrong/],
    [[upgrade, [0xf1, 0x80, 0, 0, 0, 0]], /a reserved bit is set/],
    // 2^63 - 1 bytes.
    [
      [upgrade, [0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]],
      /a message takes at most \d+ bytes/,
    ],
  ];
}

function noMessages(cluster: Cluster): Case[] {
  const upgrade = upgradeText(cluster);
  const invalid = (words: string) => new RegExp(`"code":"invalid_request","message":"[^"]*${words}`);
  const hello = (protocol: number) =>
    maskedFrame(
      0x1,
      JSON.stringify({ type: "hello", role: "client", protocol, version: "1.0.0", enroll: false }),
    );
  const control = (text: string) => maskedFrame(0x1, text);
  const frames = (text: string) => maskedFrame(0x2, text);
  return [
    [[upgrade, control("{")], invalid("A control message must be JSON")],
    [[upgrade, control('{"type":"frob"}')], invalid("Control message: type: ")],
    [[upgrade, control('{"type":"ping","sequence":1}')], invalid("The first message must be hello, is ping")],
    [[upgrade, frames("frames")], invalid("The first message must be hello, got frames")],
    [[upgrade, control('{"type":"hello","role":"agent"}')], invalid("Control message: ")],
    [
      [upgrade, hello(2)],
      /"code":"version_mismatch","message":"This manager \([\d.]+\) speaks protocol 1, the peer \(1\.0\.0\) speaks 2/,
    ],
    [[upgrade, hello(1), hello(1)], invalid("A client may not send hello")],
    [
      [upgrade, hello(1), control('{"type":"desired","generation":1,"replicas":[]}')],
      invalid("Control message: type: "),
    ],
    [
      [upgrade, hello(1), frames("longer than the header of a frame, and no frame")],
      /"code":"too_large","message":"A frame takes at most/,
    ],
    [[upgrade, hello(1), frames("cut")], invalid("A message must hold whole frames, its last one is cut")],
  ];
}

async function noJson(cluster: Cluster): Promise<void> {
  const answer = await cluster.http("/v1/invoke/probe/echo", { method: "POST", body: "{" });
  assert.equal(answer.status, 400);
  assert.match(errorIn(answer).message, /^The input must be JSON/);
  const input = await cluster.client(["invoke", "probe/echo", "{width: 1}"]);
  assert.equal(input.code, 2);
  assert.match(input.stderr, /^client: INPUT must be JSON \(.*\); it is not: [^\n]*\n$/);
}

/** One that never says hello, one that never ends its request, one that never begins the TLS handshake. */
async function silentPeers(cluster: Cluster): Promise<void> {
  await Promise.all([
    talkAll(cluster, [
      [[upgradeText(cluster)], /"code":"invalid_request","message":"A peer must say hello within 10000 ms"/],
      [["GET / HT"], /^HTTP\/1\.1 400 /],
    ]),
    Deno.connect({ hostname: "127.0.0.1", port: cluster.port }).then(async (connection) => {
      assert.equal(await readUntil(connection), "");
      connection.close();
    }),
  ]);
}
