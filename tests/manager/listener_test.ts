import assert from "node:assert/strict";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { issueServerCertificate } from "../../lib/security/authority.ts";
import { openListener } from "../../lib/manager/listener.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { eventually } from "../support/eventually.ts";
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
