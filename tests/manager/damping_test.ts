/** An agent whose connection breaks again and again, under load: what it costs until it is damped, after it, and who is told. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, type Frame, Op } from "../../lib/protocol/frame.ts";
import type { OverviewView } from "../../lib/protocol/views.ts";
import { RecordingSink } from "../scheduling/rig.ts";
import {
  agentPrincipal,
  joined,
  type ManagerRig,
  openRig,
  type Peer,
  reportReady,
  settle,
  telemetryOf,
} from "./rig.ts";

const stepMs = limits.livenessTickMs;

/** A manager with agents that answer after 500 ms, and a client that asks twice a second for what may run only once. */
class Attic {
  readonly sinks: RecordingSink[] = [];
  readonly peers = new Map<string, Peer>();
  #steps = 0;
  /** Frames that each agent has not answered yet, and since when. */
  #running = new Map<Peer, { frame: Frame; step: number }[]>();

  private constructor(readonly rig: ManagerRig) {}

  static async open(...names: string[]): Promise<Attic> {
    const rig = await openRig();
    // Whoever has no account is sent away after a while.
    for (const name of ["ada", agentPrincipal.name]) {
      await rig.signUp(name, "viewer");
    }
    rig.deploy("images", "export function resize() {}");
    rig.deployments.scale("images", names.length, "ada");
    const attic = new Attic(rig);
    for (const name of names) await attic.join(name);
    await attic.live(2 * limits.lostGraceMs);
    for (const peer of attic.peers.values()) await reportReady(peer);
    return attic;
  }

  async join(name: string): Promise<void> {
    const peer = await joined(this.rig, { name, identity: name.padEnd(16, "-") });
    this.peers.set(name, peer);
    this.#running.set(peer, []);
    await reportReady(peer);
  }

  async cut(name: string): Promise<void> {
    this.peers.get(name)!.channel.abandon("the line broke");
    this.peers.delete(name);
    await settle();
  }

  /** Whether a request runs there. */
  isBusy(name: string): boolean {
    return this.#running.get(this.peers.get(name)!)!.length > 0;
  }

  async live(ms: number, asks = false): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      this.rig.clock.advance(stepMs);
      this.#steps++;
      for (const peer of this.peers.values()) {
        peer.send(telemetryOf(this.#steps));
        const running = this.#running.get(peer)!;
        for (const frame of peer.frames.splice(0)) {
          if (frame.op === Op.request) running.push({ frame, step: this.#steps });
        }
        while (running.length > 0 && this.#steps - running[0].step >= 1) {
          peer.sendFrame({ op: Op.reply, id: running.shift()!.frame.id, a: 500_000 });
        }
      }
      if (asks && this.#steps % 2 === 0) this.#ask();
      await settle();
    }
  }

  /** How many requests ended so. */
  count(code: string): number {
    return this.sinks.filter((sink) =>
      code === "ok"
        ? sink.of(Op.reply).length > 0
        : sink.of(Op.error).some(({ meta }) => JSON.parse(meta).code === code)
    ).length;
  }

  async overview(): Promise<OverviewView> {
    return await (await this.rig.http("GET", "/v1/overview", { user: "ada" })).json();
  }

  #ask(): void {
    const sink = new RecordingSink();
    this.sinks.push(sink);
    const frame = encodeFrame({ op: Op.request, id: 1, name: "images/resize", a: 20_000 });
    const requester = { id: "ada", describe: "ada", sink, mayInvoke: () => true };
    this.rig.core.dispatcher.admit(requester, frame, 0, frame.length);
  }
}

/** Lets requests come until one runs on the agent, and cuts it then. */
async function cutBusy(attic: Attic, name: string): Promise<void> {
  for (let step = 0; !attic.isBusy(name); step++) {
    assert.ok(step < 400, `${name} gets requests`);
    await attic.live(stepMs, true);
  }
  await attic.cut(name);
  await attic.live(stepMs, true);
  await attic.join(name);
}

Deno.test("an agent that flaps loses requests until it is damped, none while it is, and is used again a minute later", async () => {
  const attic = await Attic.open("pi-1", "pi-2");
  const kinds = () => attic.rig.store.events.list({ subject: "pi-2" }).map(({ kind }) => kind);
  for (let cut = 0; cut < 4; cut++) await cutBusy(attic, "pi-2");
  await attic.live(1000, true);
  assert.equal(attic.count("agent_lost"), 4, "each cut has cost a request");
  assert.equal(attic.rig.core.agents.get("pi-2")!.health, "ready");
  assert.equal(kinds().filter((kind) => kind === "agent_damped").length, 1);

  // It goes on for two minutes, and nobody is harmed.
  for (let cut = 0; cut < 40; cut++) {
    await attic.live(3000 - stepMs, true);
    assert.equal(attic.isBusy("pi-2"), false);
    await attic.cut("pi-2");
    await attic.live(stepMs, true);
    await attic.join("pi-2");
  }
  assert.equal(attic.count("agent_lost"), 4);
  assert.equal(kinds().filter((kind) => kind === "agent_damped").length, 1, "it is told once");
  assert.equal(kinds().includes("agent_undamped"), false);

  await attic.live(limits.dampedMsMax, true);
  assert.equal(kinds().filter((kind) => kind === "agent_undamped").length, 1);
  await attic.live(5000, true);
  for (let step = 0; !attic.isBusy("pi-2"); step++) {
    assert.ok(step < 400, "it gets its share again");
    await attic.live(stepMs, true);
  }
  await attic.live(1000);
  assert.equal(attic.count("ok") + attic.count("agent_lost"), attic.sinks.length);
  attic.rig.close();
});

Deno.test("a lone agent that flaps serves whenever it is there, damped or not", async () => {
  const attic = await Attic.open("pi-1");
  for (let cut = 0; cut < 8; cut++) await cutBusy(attic, "pi-1");
  assert.equal(attic.rig.core.agents.get("pi-1")!.damped, true);
  await attic.live(1000);
  const before = attic.count("ok");
  await attic.live(4000, true);
  await attic.live(1000);
  assert.equal(attic.count("ok") - before, 8);
  assert.equal(attic.count("ok") + attic.count("agent_lost"), attic.sinks.length);
  attic.rig.close();
});

Deno.test("a damped agent is shown as such: event, problem, overview, `/metrics`", async () => {
  const attic = await Attic.open("pi-1", "pi-2");
  const metric = async (name: string) => {
    const text = await (await attic.rig.http("GET", "/metrics", { user: "ada" })).text();
    return text.split("\n").find((line) => line.startsWith(`${name}{agent="pi-2"}`))?.split(" ").at(-1);
  };
  assert.deepEqual([await metric("sqwish_agent_damped"), await metric("sqwish_agent_flap_penalty")], [
    "0",
    "0",
  ]);
  const calm = (await attic.overview()).agents[1];
  assert.deepEqual([calm.damped, calm.flapPenalty], [undefined, undefined]);
  for (let cut = 0; cut < 4; cut++) {
    await attic.cut("pi-2");
    await attic.live(stepMs);
    await attic.join("pi-2");
  }
  await attic.live(stepMs);
  const { agents, cluster } = await attic.overview();
  assert.equal(agents[1].health, "ready");
  // The last cut was two steps ago.
  assert.deepEqual(agents[1].damped, { untilMs: attic.rig.clock.nowMs() - 2 * stepMs + limits.dampedMsMax });
  assert.ok(agents[1].flapPenalty! > limits.dampingPenalty);
  assert.ok(cluster.problems.includes("Agent pi-2 is damped: it was lost again and again"));
  assert.equal(await metric("sqwish_agent_damped"), "1");
  assert.equal(await metric("sqwish_agent_flap_penalty"), String(agents[1].flapPenalty));
  const [{ level, message }] = attic.rig.store.events.list({ kinds: ["agent_damped"] });
  assert.equal(level, "warn");
  assert.match(
    message,
    /^Agent pi-2 is damped: its losses weigh 3\.5, more than 3\. It gets requests only where nobody else can serve, until \d\d:\d\d:\d\d UTC if it is not lost again$/,
  );
  attic.rig.close();
});

Deno.test("an agent that says goodbye each time is never damped", async () => {
  const attic = await Attic.open("pi-1", "pi-2");
  for (let time = 0; time < 10; time++) {
    attic.peers.get("pi-2")!.send({ type: "bye", code: "leaving", message: "stopped by SIGTERM" });
    await settle();
    await attic.cut("pi-2");
    await attic.live(stepMs);
    await attic.join("pi-2");
  }
  assert.equal(attic.rig.core.agents.get("pi-2")!.damped, false);
  assert.equal((await attic.overview()).agents[1].flapPenalty, undefined);
  attic.rig.close();
});
