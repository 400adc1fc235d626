import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { issueServerCertificate } from "../../lib/security/authority.ts";
import { openListener } from "../../lib/manager/listener.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import { openSockets } from "../../lib/manager/sockets.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";
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

/** A TLS connection to what listens now, through the handshake. */
async function reaches(pairs: Awaited<ReturnType<typeof openWebSocketPairs>>): Promise<void> {
  const { left, right } = await pairs.open();
  for (const channel of [left, right]) channel.abandon("test over");
}

Deno.test("a port that could not be opened again is tried until it can, with the newest certificate", async () => {
  const pairs = await openWebSocketPairs();
  const names = (name: string) => issueServerCertificate(pairs.authority, { names: [name] });
  // A certificate that no TLS takes.
  const renewing = pairs.listener.renew({ certPem: "none", keyPem: "none" });
  const newest = await names("attic.local");
  await pairs.listener.renew(newest);
  await renewing;
  await reaches(pairs);
  await pairs.listener.renew(await names("shed.local"));
  await reaches(pairs);
  await pairs.close();
});

Deno.test("a listener that is closed while its port can't be opened ends all the same", async () => {
  const pairs = await openWebSocketPairs();
  const renewing = pairs.listener.renew({ certPem: "none", keyPem: "none" });
  await pairs.close();
  await renewing;
  await assert.rejects(Deno.connect({ hostname: "127.0.0.1", port: pairs.port }));
});

Deno.test("peers that never begin TLS are cut off together", async () => {
  const cut: number[][] = [];
  const real = openSockets()!;
  const clock = new ManualClock();
  const pairs = await openWebSocketPairs({
    clock,
    sockets: {
      switchDelayOff: () => real.switchDelayOff(),
      cut(peers) {
        cut.push(peers.map(({ port }) => port));
        real.cut(peers);
      },
      close: () => real.close(),
    },
  });
  const silent = await Promise.all(
    Array.from({ length: 20 }, () => Deno.connect({ hostname: "127.0.0.1", port: pairs.port })),
  );
  await eventually("all are accepted", () => pairs.listener.connections === silent.length);
  clock.advance(limits.handshakeMsMax + 2000);
  // Each reads the end of its connection, which only `cut()` brings about.
  for (const connection of silent) assert.equal(await readUntil(connection), "");
  const ports = silent.map(({ localAddr }) => (localAddr as Deno.NetAddr).port).sort();
  assert.deepEqual(cut.map((all) => all.sort()), [ports]);
  for (const connection of silent) connection.close();
  await pairs.close();
});

Deno.test("agents and clients join over IPv6", async () => {
  const pairs = await openWebSocketPairs({ host: "::1" });
  await reaches(pairs);
  await pairs.close();
});
