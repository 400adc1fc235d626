import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { issueServerCertificate } from "../../lib/security/authority.ts";
import { openListener } from "../../lib/manager/listener.ts";
import { createSystemClock } from "../../lib/clock.ts";
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
      join: () => Promise.reject(new Error("nobody joins")),
    }),
    { code: "conflict", message: `Port ${pairs.port} is in use at 127.0.0.1; choose another with --listen` },
  );
  await pairs.close();
});

Deno.test({
  name: "Nagle's algorithm is off for every connection that is accepted",
  // Elsewhere the peers acknowledge what they read, which the channels' conformance tests cover.
  ignore: Deno.build.os !== "linux",
  // In a process of its own: the sockets of other tests would be counted, too.
  async fn() {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", new URL("../support/delay_probe.ts", import.meta.url).pathname],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), {
      switchedOff: true,
      accepted: [1, 1, 1],
    });
  },
});

Deno.test("a connection that never gets through TLS costs nobody anything and is ended", async () => {
  const pairs = await openWebSocketPairs();
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: pairs.port });
  await tcp.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: manager\r\n\r\n"));
  await readUntil(tcp);
  await eventually("it is counted no more", () => pairs.listener.connections === 0);
  tcp.close();
  const { left, right } = await pairs.open();
  for (const channel of [left, right]) channel.abandon("test over");
  await pairs.close();
});
