/** The limit to compare with: a relay that does nothing but pass frames on, in the same runtime and over TLS. */
import { freePort, type Peer, startModule } from "../peer.ts";

export const relay: Peer = {
  name: "relay",
  title: "bare relay, TLS",
  needs: [],
  async start(context) {
    const { caFile, certFile, keyFile } = context.certificate;
    const [clientPort, workerPort] = [freePort(), freePort()];
    const broker = await startModule(context, "relay", "relay/relay.ts", {
      ...{ certFile, keyFile, clientPort, workerPort },
    });
    const workers = [];
    for (const name of ["worker-1", "worker-2"]) {
      workers.push((await startModule(context, name, "relay/worker.ts", { port: workerPort, caFile })).pid);
    }
    return {
      processes: { pids: { broker: [broker.pid], workers } },
      target: { kind: "library", client: "relay", address: { port: clientPort, caFile } },
    };
  },
};
