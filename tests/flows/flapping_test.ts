import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import type { AgentView } from "../../lib/protocol/views.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deployed, overviewOf, patienceMs } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";

/** Where agents find the manager: a line that a test can cut. */
const lineHost = "127.0.0.2";

/** Passes connections on to the manager, in the order in which they come. */
class Line {
  readonly #listener: Deno.TcpListener;
  readonly #ends: [Deno.TcpConn, Deno.TcpConn][] = [];
  readonly #passing: Promise<void>[] = [];

  constructor(port: number) {
    this.#listener = Deno.listen({ hostname: lineHost, port });
    this.#passing.push(this.#accept(port));
  }

  /** Connections there have been. */
  get count(): number {
    return this.#ends.length;
  }

  /** Cuts all connections but the first ones. */
  cut(first: number): void {
    for (const ends of this.#ends.slice(first)) this.#close(ends);
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.cut(0);
    await Promise.all(this.#passing);
  }

  async #accept(port: number): Promise<void> {
    for await (const near of this.#listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port });
      const ends: [Deno.TcpConn, Deno.TcpConn] = [near, far];
      this.#ends.push(ends);
      this.#passing.push(this.#pass(ends, near, far), this.#pass(ends, far, near));
    }
  }

  async #pass(ends: [Deno.TcpConn, Deno.TcpConn], from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    await from.readable.pipeTo(to.writable).catch(() => {});
    this.#close(ends);
  }

  #close(ends: readonly Deno.TcpConn[]): void {
    for (const end of ends) {
      try {
        end.close();
      } catch {
        // Closed already.
      }
    }
  }
}

const who = {
  "who.ts": `const born = Math.random();
    console.log("born " + born);
    export const born_ = () => born;`,
};

async function agentOf(sqwish: Sqwish, name: string): Promise<AgentView | undefined> {
  return (await overviewOf(sqwish)).agents.find((agent) => agent.name === name);
}

async function joined(cluster: Cluster, sqwish: Sqwish, name: string): Promise<void> {
  cluster.startAgent(name);
  await eventually(
    `${name} is there`,
    async () => (await agentOf(sqwish, name))?.health === "ready",
    patienceMs,
  );
}

async function losses(sqwish: Sqwish, name: string): Promise<number> {
  const { json } = await sqwish.call("GET", `/v1/events?kind=agent_lost&subject=${name}`);
  return (json as { events: unknown[] }).events.length;
}

/** What the replica on an agent answers with. */
async function bornOn(sqwish: Sqwish, name: string): Promise<number> {
  return await eventually(`${name} has said when it was born`, async () => {
    const { json } = await sqwish.call("GET", `/v1/logs/who?agent=${name}`);
    const { lines } = json as { lines: { text: string }[] };
    return lines.length > 0 ? Number(lines.at(-1)!.text.replace("born ", "")) : undefined;
  }, patienceMs);
}

Deno.test("an agent whose line breaks again and again serves only where nobody else can", async () => {
  const cluster = await startCluster({ advertise: [lineHost], host: "127.0.0.1" });
  const line = new Line(cluster.port);
  try {
    const sqwish = await cluster.connect();
    await joined(cluster, sqwish, "agent-1");
    const ofOthers = line.count;
    await joined(cluster, sqwish, "agent-2");
    await deployed(sqwish, "who", who, { replicas: "all" });
    const [steady, flapping] = [await bornOn(sqwish, "agent-1"), await bornOn(sqwish, "agent-2")];

    for (let cut = 1; cut <= 4; cut++) {
      line.cut(ofOthers);
      await eventually(`loss ${cut}`, async () => await losses(sqwish, "agent-2") === cut, patienceMs);
      await eventually(
        `agent-2 is back after loss ${cut}`,
        async () => (await agentOf(sqwish, "agent-2"))?.replicas.some(({ state }) => state === "ready"),
        patienceMs,
      );
    }
    const agent = await eventually("it is damped", async () => {
      const agent = await agentOf(sqwish, "agent-2");
      return agent?.damped ? agent : undefined;
    });
    assert.equal(agent.health, "ready");
    assert.ok(agent.damped!.untilMs <= Date.now() + 60_000);
    const answers: unknown[] = [];
    for (let count = 0; count < 30; count++) answers.push(await sqwish.invoke("who/born_"));
    assert.deepEqual(new Set(answers), new Set([steady]));
    assert.match((await cluster.client(["get", "agents"])).stdout, /agent-2 +ready,damped/);
    assert.match(
      (await cluster.client(["why", "agent-2"])).stdout,
      /It is damped: it was lost again and again/,
    );

    await cluster.agents.get("agent-1")!.end();
    assert.equal(await sqwish.invoke("who/born_"), flapping, "rather there than nowhere");
  } finally {
    await cluster.close();
    await line.close();
  }
});
