/** HAProxy with TLS in front of two bare HTTP servers, loaded by wrk. */
import { join } from "node:path";
import { freePort, startModule, untilListening } from "../../processes.ts";
import type { Peer } from "../peer.ts";

export const haproxy: Peer = {
  name: "haproxy",
  title: "HAProxy, TLS, wrk",
  needs: ["haproxy", "wrk"],
  async start(context) {
    const ports = [freePort(), freePort()];
    const workers = [];
    for (const [index, port] of ports.entries()) {
      workers.push(
        (await startModule(context, `worker-${index + 1}`, "peers/haproxy/worker.ts", { port })).pid,
      );
    }
    const port = freePort();
    const file = join(context.folder, "haproxy.cfg");
    const servers = ports.map((each, index) => `  server worker-${index + 1} 127.0.0.1:${each}`);
    await Deno.writeTextFile(
      file,
      `global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend tls
  bind 127.0.0.1:${port} ssl crt ${context.certificate.bothFile}
  default_backend workers
backend workers
  balance roundrobin
${servers.join("\n")}
`,
    );
    const proxy = context.group.start("haproxy", ["haproxy"], ["-db", "-f", file]);
    await untilListening(context, proxy, port);
    const caPem = await Deno.readTextFile(context.certificate.caFile);
    return {
      pids: { broker: [proxy.pid], workers },
      target: { kind: "http", url: `https://127.0.0.1:${port}/`, headers: {}, caPem },
    };
  },
};
