/** One Moleculer node. Nodes know each other by address: no multicast, so that runs can't meet. */
import moleculer from "npm:moleculer@0.15.2";

export interface MoleculerAddress {
  /** `127.0.0.1:PORT/NODE` of every node. */
  urls: readonly string[];
  node: string;
  port: number;
}

export const service = "bench";

/** Everything the library can leave out for speed is left out: metrics, tracing, logging, validation. */
export function createNode({ urls, node, port }: MoleculerAddress): moleculer.ServiceBroker {
  return new moleculer.ServiceBroker({
    nodeID: node,
    logger: false,
    metrics: false,
    tracing: false,
    validator: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, urls: urls.join(","), port } },
  });
}
