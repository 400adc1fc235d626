/** Connected WebSocket channels over real TLS on loopback, through the manager's own listener. */
import { createAuthority, issueServerCertificate } from "../../lib/security/authority.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { createSystemRandom } from "../../lib/random.ts";
import { silentLog } from "../../lib/log.ts";
import type { Channel } from "../../lib/protocol/channel.ts";
import { joinPath } from "../../lib/protocol/messages.ts";
import { dialWebSocket } from "../../lib/protocol/websocket_dial.ts";
import { type ListenerOptions, openListener } from "../../lib/manager/listener.ts";

/** `options`: of the listener, in place of its usual ones. */
export async function openWebSocketPairs(
  { host = "127.0.0.1", ...options }: Partial<Pick<ListenerOptions, "sockets" | "clock" | "host">> = {},
) {
  const authority = await createAuthority({ cluster: "test", random: createSystemRandom() });
  const { certPem, keyPem } = await issueServerCertificate(authority, { names: [host] });
  let accepted: (channel: Channel) => void = () => {};
  const listener = await openListener({
    host,
    port: 0,
    certPem,
    keyPem,
    clock: createSystemClock(),
    log: silentLog,
    ...options,
    handle: () => new Response("not here", { status: 404 }),
    join: () => Promise.resolve((channel) => accepted(channel)),
  });
  return {
    port: listener.port,
    authority,
    listener,
    caPem: authority.caCertPem,
    async open(): Promise<{ left: Channel; right: Channel }> {
      const server = new Promise<Channel>((resolve) => accepted = resolve);
      const left = await dialWebSocket({
        host,
        port: listener.port,
        caPem: authority.caCertPem,
        path: joinPath,
        headers: {},
        timeoutMs: 20_000,
      });
      return { left, right: await server };
    },
    close: () => listener.close(),
  };
}
