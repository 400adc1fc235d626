/** One NATS connection. Also what the workers connect with, so that both ends have the same settings. */
import { connect, type NatsConnection } from "npm:@nats-io/transport-node@3.4.0";
import type { EchoClient } from "../peer.ts";

export interface NatsAddress {
  url: string;
  caFile: string;
}

export const subject = "echo";

export async function openNats({ url, caFile }: NatsAddress): Promise<NatsConnection> {
  const tls = { ca: await Deno.readTextFile(caFile) };
  // It makes a stack trace for every request unless told otherwise; compared is NATS at its fastest.
  return await connect({ servers: url, tls, noAsyncTraces: true });
}

export async function open(address: NatsAddress): Promise<EchoClient> {
  const connection = await openNats(address);
  const options = { timeout: 30_000 };
  return {
    ask: async (body) => (await connection.request(subject, body, options)).data,
    close: () => connection.close(),
  };
}
