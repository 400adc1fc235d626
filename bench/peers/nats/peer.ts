/** NATS with TLS: its server, two subscribers of one queue group, request and reply by its own client for npm. */
import { join } from "node:path";
import { freePort, type Peer, startModule, untilSaid } from "../peer.ts";

export const nats: Peer = {
  name: "nats",
  title: "NATS, TLS",
  needs: ["nats-server"],
  async start(context) {
    const { group, folder, certificate } = context;
    const port = freePort();
    const file = join(folder, "nats.conf");
    await Deno.writeTextFile(
      file,
      `listen: "127.0.0.1:${port}"
max_payload: 16MB
tls { cert_file: "${certificate.certFile}", key_file: "${certificate.keyFile}", timeout: 5 }
`,
    );
    const server = group.start("nats-server", ["nats-server"], ["--config", file]);
    await untilSaid(context, server, "Server is ready");
    const address = { url: `tls://127.0.0.1:${port}`, caFile: certificate.caFile };
    const workers = [];
    for (const name of ["worker-1", "worker-2"]) {
      workers.push((await startModule(context, name, "nats/worker.ts", address)).pid);
    }
    return {
      processes: { pids: { broker: [server.pid], workers } },
      target: { kind: "library", client: "nats", address },
    };
  },
};
