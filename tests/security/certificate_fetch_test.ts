import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createSystemRandom } from "../../lib/random.ts";
import { createAuthority, issueServerCertificate } from "../../lib/security/authority.ts";
import { fingerprintOf } from "../../lib/security/certificates.ts";
import { fetchAuthority } from "../../lib/security/certificate_fetch.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { rejectsWith } from "./rejects_with.ts";

const random = createSystemRandom();
const host = "127.0.0.1";
const timeoutMs = 20_000;
const authority = await createAuthority({ cluster: "attic", random });
const other = await createAuthority({ cluster: "cellar", random });
const issued = await issueServerCertificate(authority, { names: [] });
const fingerprint = fingerprintOf(authority.caCertPem);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Runs `test` against a real TLS server that answers with `answer`. */
async function withServer(answer: Answer, test: (port: number) => Promise<void>): Promise<void> {
  const server = createServer({ cert: issued.certPem, key: issued.keyPem }, answer);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  try {
    await test((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function answerWith(body: string): Answer {
  return (_request, response) => void response.end(body);
}

Deno.test("`fetchAuthority()` gets the certificate that the fingerprint names, and sends nothing secret", async () => {
  const seen: { url?: string; headers: string[] }[] = [];
  await withServer((request, response) => {
    seen.push({ url: request.url, headers: Object.keys(request.headers) });
    response.end(authority.caCertPem);
  }, async (port) => {
    const pem = await fetchAuthority({ host, port, fingerprint: fingerprint.toUpperCase(), timeoutMs });
    assert.equal(pem, authority.caCertPem);
  });
  assert.equal(seen.length, 1);
  assert.equal(seen[0].url, "/ca.pem");
  assert.deepEqual(seen[0].headers.sort(), ["connection", "host"]);
});

Deno.test("another authority is refused, naming both fingerprints", async () => {
  await withServer(answerWith(other.caCertPem), async (port) => {
    const error = await rejectsWith(
      () => fetchAuthority({ host, port, fingerprint, timeoutMs }),
      "unauthenticated",
      "another cluster or someone in between",
    );
    assert.ok(error.message.includes(fingerprint) && error.message.includes(fingerprintOf(other.caCertPem)));
    assert.ok(error.message.includes(`127.0.0.1:${port}`));
  });
});

Deno.test("a certificate hidden behind the right one is not handed on", async () => {
  await withServer(answerWith(authority.caCertPem + other.caCertPem), async (port) => {
    assert.equal(await fetchAuthority({ host, port, fingerprint, timeoutMs }), authority.caCertPem);
  });
});

Deno.test("a server that is no manager is told apart: not found, no certificate, far too much", async () => {
  const answers: [Answer, RegExp][] = [
    [(_request, response) => void response.writeHead(404).end(), /HTTP 404; it may be no manager/],
    [(_request, response) => void response.writeHead(302, { location: "/" }).end(), /HTTP 302/],
    [answerWith("<html>"), /without a certificate/],
    [answerWith(""), /without a certificate/],
    [answerWith("x".repeat(1024 * 1024)), /more than 65536 bytes/],
  ];
  for (const [answer, says] of answers) {
    await withServer(answer, async (port) => {
      const error = await rejectsWith(
        () => fetchAuthority({ host, port, fingerprint, timeoutMs }),
        "manager_lost",
        says,
      );
      assert.equal(error.mayHaveRun, "no");
    });
  }
});

Deno.test("a server that breaks off is named", async () => {
  await withServer((request) => void request.socket.destroy(), async (port) => {
    const error = await rejectsWith(
      () => fetchAuthority({ host, port, fingerprint, timeoutMs }),
      "manager_lost",
      `127.0.0.1:${port}`,
    );
    assert.equal(error.mayHaveRun, "no");
  });
});

Deno.test("a port where nothing listens is named, with the cause", async () => {
  const listener = Deno.listen({ hostname: host, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const error = await rejectsWith(
    () => fetchAuthority({ host, port, fingerprint, timeoutMs }),
    "manager_lost",
    `Nothing listens at 127.0.0.1:${port}`,
  );
  assert.ok(error.cause instanceof Error);
});

Deno.test("a server that speaks no TLS is named", async () => {
  const listener = Deno.listen({ hostname: host, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const serving = (async () => {
    const accepted = await listener.accept();
    await accepted.read(new Uint8Array(1024));
    await accepted.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
    accepted.close();
  })();
  await rejectsWith(
    () => fetchAuthority({ host, port, fingerprint, timeoutMs }),
    "manager_lost",
    `TLS connection to 127.0.0.1:${port} broke off`,
  );
  await serving;
  listener.close();
});

Deno.test("a server that never answers is given up after the time allowed", async () => {
  const clock = new ManualClock();
  await withServer(() => clock.advance(5000), async (port) => {
    await rejectsWith(
      () => fetchAuthority({ host, port, fingerprint, timeoutMs: 5000, clock }),
      "deadline_exceeded",
      "within 5000 ms",
    );
  });
  assert.equal(clock.pendingTimers, 0);
});
