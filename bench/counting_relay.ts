/** A port on loopback behind which another one is, and how many bytes have passed it each way: all that TCP carries. */

export interface CountingRelay extends AsyncDisposable {
  readonly address: string;
  /** Towards the port behind it, and back, since the start. */
  readonly bytes: { up: number; down: number };
}

export function openCountingRelay(port: number): CountingRelay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const bytes = { up: 0, down: 0 };
  const open = new Set<Deno.Conn>();
  const done: Promise<void>[] = [];

  async function copy(from: Deno.Conn, to: Deno.Conn, way: "up" | "down"): Promise<void> {
    try {
      for await (const part of from.readable) {
        bytes[way] += part.length;
        for (let at = 0; at < part.length;) at += await to.write(part.subarray(at));
      }
    } catch {
      // One of the two is gone, and so will be the other.
    }
    for (const each of [from, to]) close(each);
  }

  function close(connection: Deno.Conn): void {
    if (!open.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // It has ended by itself.
    }
  }

  async function serve(): Promise<void> {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
      if (!far) {
        near.close();
        continue;
      }
      // Held back here, small messages would share packets that they don't share otherwise.
      for (const each of [near, far]) {
        each.setNoDelay(true);
        open.add(each);
      }
      done.push(copy(near, far, "up"), copy(far, near, "down"));
    }
  }

  const served = serve();
  return {
    address: `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    bytes,
    async [Symbol.asyncDispose]() {
      listener.close();
      await served;
      for (const each of [...open]) close(each);
      await Promise.all(done);
    },
  };
}
