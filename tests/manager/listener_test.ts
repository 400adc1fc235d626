import assert from "node:assert/strict";
import { InvokeDoor } from "../../lib/manager/api/invoke_connection.ts";
import { decodeFrame, encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { managerServerName } from "../../lib/protocol/messages.ts";
import { createAuthority, issueServerCertificate } from "../../lib/security/authority.ts";
import { openListener } from "../../lib/manager/listener.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { createSystemRandom } from "../../lib/random.ts";
import type { Principal } from "../../lib/security/access.ts";
import { silentLog } from "../../lib/log.ts";
import { eventually } from "../support/eventually.ts";
import { readUntil } from "../support/raw_peer.ts";
import { openWebSocketPairs } from "../support/websocket_pair.ts";

Deno.test("a renewed certificate serves new connections while the old ones go on", async () => {
  const pairs = await openWebSocketPairs();
  const before = await pairs.open();
  const received: number[] = [];
  const quiet = { onControl() {}, onFrames() {}, onClose() {} };
  before.left.start(quiet);
  before.right.start({ ...quiet, onFrames: (message) => received.push(message.length) });

  const renewed = await issueServerCertificate(pairs.authority, { names: ["attic.local"] });
  await pairs.listener.renew(renewed);

  const after = await pairs.open();
  after.left.start(quiet);
  after.right.start(quiet);
  before.left.sendFrames(encodeFrame({ op: Op.cancel, id: 1 }));
  await eventually("the old connection still carries frames", () => received.length === 1);

  // `attic.local` is only in the new certificate.
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: pairs.port });
  const tls = await Deno.startTls(tcp, { hostname: "attic.local", caCerts: [pairs.caPem] });
  await tls.handshake();
  tls.close();

  for (const channel of [before.left, before.right, after.left, after.right]) channel.abandon("test over");
  await pairs.close();
});

Deno.test("a port in use is refused with what to do", async () => {
  const pairs = await openWebSocketPairs();
  const { certPem, keyPem } = await issueServerCertificate(pairs.authority, { names: [] });
  await assert.rejects(
    openListener({
      host: "127.0.0.1",
      port: pairs.port,
      certPem,
      keyPem,
      clock: createSystemClock(),
      log: silentLog,
      handle: () => new Response(),
      join() {},
    }),
    { code: "conflict", message: `Port ${pairs.port} is in use at 127.0.0.1; choose another with --listen` },
  );
  await pairs.close();
});

Deno.test("one TLS connection carries invokes first and then whatever else HTTP has", async () => {
  const authority = await createAuthority({ cluster: "test", random: createSystemRandom() });
  const clock = createSystemClock();
  const ada: Principal = { name: "ada", role: "admin", endpoints: [] };
  const door = new InvokeDoor({
    clock,
    log: silentLog,
    port: {
      admit(requester, bytes) {
        const { id, name } = decodeFrame(bytes);
        const body = new TextEncoder().encode(`POST /v1/invoke/${name}`);
        requester.sink.sendFrames(encodeFrame({ op: Op.reply, id, body }));
      },
      cancel() {},
      credit() {},
      monotonicMs: () => clock.monotonicMs(),
    },
    signIn: () => Promise.resolve({ principal: ada, standing: { principal: () => ada } }),
  });
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    ...await issueServerCertificate(authority, { names: ["127.0.0.1"] }),
    clock,
    log: silentLog,
    invokeDoor: door,
    // The same answer as through the door: not every runtime served has one.
    handle: (request) => new Response(`${request.method} ${new URL(request.url).pathname}`),
    join() {},
  });
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: listener.port });
  const tls = await Deno.startTls(tcp, { hostname: managerServerName, caCerts: [authority.caCertPem] });
  const ask = async (first: string, ...lines: string[]) => {
    const text = [`${first} HTTP/1.1`, "Host: manager", "Authorization: Basic YTpi", ...lines, "", ""].join(
      "\r\n",
    );
    await tls.write(new TextEncoder().encode(text));
    const [method, path] = first.split(" ");
    const answer = await readUntil(tls, (got) => got.endsWith(`${method} ${path}`));
    assert.match(answer, /^HTTP\/1\.1 200 /);
  };
  await ask("POST /v1/invoke/a/b", "Content-Length: 0");
  await ask("POST /v1/invoke/a/c", "Content-Length: 0");
  await ask("GET /v1/agents");
  await ask("POST /v1/invoke/a/d", "Content-Length: 0");
  await ask("GET /healthz");
  assert.equal(door.size, 0);
  tls.close();
  door.close();
  await listener.close();
});
