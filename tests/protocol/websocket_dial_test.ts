/** A dial that nobody wants any more ends at once, wherever it stands; the sanitizers see to it that nothing stays. */
import assert from "node:assert/strict";
import { Dialer, type Network } from "../../lib/client/dialer.ts";
import { dialWebSocket } from "../../lib/protocol/websocket_dial.ts";
import { eventually } from "../support/eventually.ts";

const dialled = { host: "127.0.0.1", caPem: "", path: "/v1/join", headers: {}, timeoutMs: 60_000 };

Deno.test("`dialWebSocket()` ends with its signal while a host says nothing, and closes what there was", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ending = new AbortController();
  const dial = dialWebSocket({ ...dialled, port: listener.addr.port, signal: ending.signal });
  const accepted = await listener.accept();
  ending.abort();
  await assert.rejects(dial, { code: "cancelled" });
  const bytes = new Uint8Array(4096);
  let ended = false;
  const read = async () => {
    while (await accepted.read(bytes) !== null);
  };
  read().catch(() => {}).finally(() => ended = true);
  await eventually("the connection ends", () => ended);
  accepted.close();
});

Deno.test("`dialWebSocket()` ends with its signal, or its time, while a host does not even accept", async () => {
  // What the system accepts for a listener that takes nothing is full after a few; the next is left waiting.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const filling = new AbortController();
  const taken: Deno.Conn[] = [];
  for (let full = false; !full;) {
    const connect = Deno.connect({ hostname: "127.0.0.1", port, signal: filling.signal });
    const timer = Promise.withResolvers<null>();
    const timeout = setTimeout(() => timer.resolve(null), 200);
    const connection = await Promise.race([connect, timer.promise]);
    clearTimeout(timeout);
    if (connection) taken.push(connection);
    full = connection === null;
    if (full) {
      filling.abort();
      await assert.rejects(connect);
    }
  }
  const ending = new AbortController();
  const dial = dialWebSocket({ ...dialled, port, signal: ending.signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  ending.abort();
  await assert.rejects(dial, { code: "cancelled" });
  await assert.rejects(dialWebSocket({ ...dialled, port, signal: ending.signal }), { code: "cancelled" });
  await assert.rejects(dialWebSocket({ ...dialled, port, timeoutMs: 50 }), /did not answer within 50 ms/);
  for (const connection of taken) connection.close();
});

Deno.test("`Dialer` tries no further address once nobody wants it any more", async () => {
  const ending = new AbortController();
  const hosts: string[] = [];
  const network: Network = {
    dialWebSocket({ host, signal }) {
      hosts.push(host);
      return new Promise((_, reject) =>
        signal!.addEventListener("abort", () => reject(new Error("given up")))
      );
    },
    fetchAuthority: () => Promise.reject(new Error("not asked for")),
  };
  const target = { addresses: ["a:1", "b:2"], caPem: "PEM", user: "ada", password: "pw", enroll: false };
  const dial = new Dialer(target, network).dial(ending.signal);
  ending.abort();
  await assert.rejects(dial);
  assert.deepEqual(hosts, ["a"]);
});
