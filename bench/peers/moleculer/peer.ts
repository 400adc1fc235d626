/** Moleculer over plain TCP: no broker, no TLS; a caller's node talks to two nodes that serve. */
import { freePort, startModule } from "../../processes.ts";
import type { Peer } from "../peer.ts";

export const moleculer: Peer = {
  name: "moleculer",
  title: "Moleculer, plain TCP",
  needs: [],
  async start(context) {
    const names = ["worker-1", "worker-2"];
    const urls = names.map((name) => `127.0.0.1:${freePort()}/${name}`);
    const workers = [];
    for (const name of names) {
      workers.push((await startModule(context, name, "peers/moleculer/worker.ts", { urls, name })).pid);
    }
    return {
      pids: { broker: [], workers },
      target: { kind: "library", client: "moleculer", address: { urls } },
    };
  },
};
