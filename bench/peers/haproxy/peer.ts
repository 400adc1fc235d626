/** HAProxy with TLS in front of two bare HTTP servers: what a team without a message broker would build. */
import { join } from "node:path";
import { freePort, type Peer, startModule, untilListening } from "../peer.ts";

export const haproxy: Peer = {
  name: "haproxy",
  title: "HAProxy, TLS, and wrk",
  needs: ["haproxy", "wrk"],
  async start(context) {
    const { group, folder, certificate } = context;
    const ports = [freePort(), freePort()];
    const workers = [];
    for (const [index, port] of ports.entries()) {
      const worker = await startModule(context, `worker-${index + 1}`, "haproxy/worker.ts", { port });
      workers.push(worker.pid);
    }
    const port = freePort();
    const file = join(folder, "haproxy.cfg");
    await Deno.writeTextFile(file, configuration(port, ports, certificate.bothFile));
    const broker = group.start("haproxy", ["haproxy"], ["-db", "-f", file]);
    await untilListening(context, broker, port);
    const caPem = await Deno.readTextFile(certificate.caFile);
    return {
      processes: { pids: { broker: [broker.pid], workers } },
      target: { kind: "http", url: `https://127.0.0.1:${port}/`, headers: {}, caPem },
    };
  },
};

function configuration(port: number, workers: readonly number[], certificateFile: string): string {
  const servers = workers.map((each, index) => `  server worker${index + 1} 127.0.0.1:${each}`);
  return `global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend public
  bind 127.0.0.1:${port} ssl crt ${certificateFile}
  default_backend workers
backend workers
  balance roundrobin
${servers.join("\n")}
`;
}
