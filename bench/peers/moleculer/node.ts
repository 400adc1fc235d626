/**
 * A Moleculer node: its TCP transporter with the addresses of all nodes given, so that nothing is broadcast. Bodies
 * are texts, because its serializer turns bytes into lists of numbers.
 */
import { ServiceBroker } from "npm:moleculer@0.15.2";

export interface MoleculerAddress {
  /** `host:port/name` of the nodes that serve, and of itself. */
  urls: string[];
}

export async function startNode(
  { urls }: MoleculerAddress,
  nodeID: string,
  serves: boolean,
): Promise<InstanceType<typeof ServiceBroker>> {
  const broker = new ServiceBroker({
    nodeID,
    logger: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, urls: urls.join(","), gossipPeriod: 1 } },
    validator: false,
    internalServices: false,
  });
  if (serves) {
    broker.createService({
      name: "bench",
      actions: { echo: (context: { params: { text: string } }) => context.params.text },
    });
  }
  await broker.start();
  return broker;
}
