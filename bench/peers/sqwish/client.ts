/** One connection by the client library, with credentials of its own. */
import { connect } from "../../../client.ts";
import type { EchoClient } from "../peer.ts";

export async function open({ token }: { token: string }): Promise<EchoClient> {
  const sqwish = await connect({ token, profileFile: false });
  return {
    ask: (body) => sqwish.invoke("bench/echo", body) as Promise<Uint8Array>,
    close: () => sqwish.close(),
  };
}
