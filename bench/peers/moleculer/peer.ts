/** Moleculer over its TCP transporter: the caller balances between two worker nodes itself, there is no broker. */
import { freePort, type Peer, startModule } from "../peer.ts";

export const moleculer: Peer = {
  name: "moleculer",
  title: "Moleculer, TCP without TLS",
  needs: [],
  async start(context) {
    const nodes = ["worker-1", "worker-2", "caller"].map((node) => ({ node, port: freePort() }));
    const urls = nodes.map(({ node, port }) => `127.0.0.1:${port}/${node}`);
    const [first, second, caller] = nodes.map((node) => ({ ...node, urls }));
    const workers = [];
    for (const worker of [first, second]) {
      workers.push((await startModule(context, worker.node, "moleculer/worker.ts", worker)).pid);
    }
    return {
      processes: { pids: { broker: [], workers } },
      target: { kind: "library", client: "moleculer", address: caller },
    };
  },
};
