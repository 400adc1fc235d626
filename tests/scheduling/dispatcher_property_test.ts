/**
 * The dispatcher against random histories: requests, replies, refusals, failures, cancels, lost agents, changes of the
 * table and of time. After every step the model checks the invariants that the dispatcher's header promises.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { limits } from "../../lib/limits.ts";
import type { Frame } from "../../lib/protocol/frame.ts";
import { errorOf, Flag, Op, reportOf, requesterNamed, revisionOf, Rig, type TestRequester } from "./rig.ts";

const queueMax = 4;
const slots = 2;
const agentNames = ["a0", "a1", "a2"];
/** Two revisions: only the newer one has `extra`. */
const functionsOf = (agent: number) => agent === 2 ? ["main", "extra"] : ["main"];

type Step =
  | { kind: "admit"; client: number; endpoint: number; idempotent: boolean; timeoutMs: number }
  | {
    kind: "answer";
    agent: number;
    pick: number;
    how: "reply" | "fail" | "giveBack" | "part" | "runnerLost";
  }
  | { kind: "cancel"; client: number; pick: number }
  | { kind: "leave"; client: number }
  | { kind: "lose" | "return" | "unready"; agent: number }
  | { kind: "advance"; ms: number };

const pick = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("admit" as const),
      client: fc.nat(2),
      endpoint: fc.nat(1),
      idempotent: fc.boolean(),
      timeoutMs: fc.constantFrom(5, 50, 2000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      agent: fc.nat(2),
      pick,
      how: fc.constantFrom(...(["reply", "reply", "fail", "giveBack", "part", "runnerLost"] as const)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), client: fc.nat(2), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), client: fc.nat(2) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(...(["lose", "return", "unready"] as const)),
      agent: fc.nat(2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(1, 10, 120, 4000) }),
  },
);

/** One request as the model sees it. */
interface Expected {
  client: TestRequester;
  id: number;
  endpoint: string;
  idempotent: boolean;
  outcomes: number;
  runs: number;
  givenBack: number;
  silenced: boolean;
}

class Model {
  rig = new Rig([revisionOf("set", { queueMax }, 2)]);
  clients: TestRequester[] = [0, 1, 2].map((index) => requesterNamed(`c${index}`));
  requests: Expected[] = [];
  #nextId = 1;
  /** Frames of each agent that the model has looked at, and the runs that it can still answer. */
  #seen = new Map<unknown, number>();
  #running = new Map<string, Map<number, Expected>>();
  #heldUntilMs = new Map<string, number>();

  apply(step: Step): void {
    if (step.kind === "admit") this.#admit(step);
    else if (step.kind === "answer") this.#answer(step);
    else if (step.kind === "cancel") this.#cancel(step.client, step.pick);
    else if (step.kind === "leave") this.#leave(step.client);
    else if (step.kind === "advance") this.rig.clock.advance(step.ms);
    else this.#change(step.kind, step.agent);
    this.#observe();
    this.#check();
  }

  /** Agents answer all they have and all time passes: whatever is still open must end, and every slot be free. */
  finish(): void {
    for (const [agent, running] of this.#running) {
      while (running.size > 0) {
        const [runId] = running.keys();
        running.delete(runId);
        this.rig.reply(agent, runId);
        this.#observe();
      }
    }
    this.rig.clock.advance(limits.cancelGraceMs + limits.refusalHoldMs);
    this.#observe();
    for (const { agent, outstanding } of this.rig.dispatcher.snapshot().replicas) {
      const still = this.#running.get(agent)?.size ?? 0;
      assert.equal(outstanding, still, `${agent} counts ${outstanding}, it has ${still}`);
    }
    for (let agent = 0; agent < agentNames.length; agent++) this.#change("lose", agent);
    this.rig.clock.advance(2000);
    this.#observe();
    for (const request of this.requests) {
      assert.equal(request.outcomes, request.silenced ? 0 : 1, `outcomes of request ${request.id}`);
    }
    assert.equal(this.rig.outcomes.length, this.requests.length, "each is counted once");
    assert.equal(this.rig.clock.pendingTimers, 0, "no timer without anything to wait for");
    this.rig.dispatcher.close();
  }

  #admit(step: Step & { kind: "admit" }): void {
    const client = this.clients[step.client];
    const request: Expected = {
      client,
      id: this.#nextId++,
      endpoint: step.endpoint === 0 ? "set/main" : "set/extra",
      idempotent: step.idempotent,
      outcomes: 0,
      runs: 0,
      givenBack: 0,
      silenced: false,
    };
    this.requests.push(request);
    const before = this.rig.dispatcher.snapshot().queued;
    this.rig.request(client, request.endpoint, {
      id: request.id,
      a: step.timeoutMs,
      flags: step.idempotent ? Flag.idempotent : 0,
    });
    const after = this.rig.dispatcher.snapshot().queued;
    assert.ok(after <= Math.max(before, queueMax), `the queue has ${after}`);
    const refused = this.rig.outcomes.at(-1)?.code === "queue_full" &&
      client.sink.frames.at(-1)?.id === request.id;
    if (!refused) return;
    const waitMs = errorOf(client.sink.frames.at(-1)!).details.estimatedWaitMs as number | undefined;
    if (waitMs === undefined) assert.ok(before >= queueMax, `refused at a queue of ${before}`);
    else assert.ok(before > 0 && waitMs > step.timeoutMs / 10, `refused at a wait of ${waitMs} ms`);
  }

  #answer(step: Step & { kind: "answer" }): void {
    const agent = agentNames[step.agent];
    const running = [...this.#running.get(agent) ?? []];
    if (running.length === 0) return;
    const [runId, request] = running[step.pick % running.length];
    if (step.how === "part") {
      this.rig.answer(agent, { op: Op.part, id: runId });
      return;
    }
    this.#running.get(agent)!.delete(runId);
    if (step.how === "reply") this.rig.reply(agent, runId, 1000 * (step.pick + 1));
    else if (step.how === "fail") this.rig.error(agent, runId, "module_failed");
    else if (step.how === "runnerLost") this.rig.error(agent, runId, "agent_lost");
    else {
      request.givenBack++;
      this.#heldUntilMs.set(agent, this.rig.clock.monotonicMs() + limits.refusalHoldMs);
      this.rig.error(agent, runId, "no_ready_replica", { mayHaveRun: "no" });
    }
    // The same answer once more, as a confused agent would send it.
    this.rig.reply(agent, runId);
  }

  #cancel(client: number, pick: number): void {
    const own = this.requests.filter((request) => request.client === this.clients[client]);
    if (own.length > 0) this.rig.dispatcher.cancel(this.clients[client], own[pick % own.length].id);
  }

  #leave(client: number): void {
    const gone = this.clients[client];
    this.#observe();
    for (const request of this.requests) {
      if (request.client === gone && request.outcomes === 0) request.silenced = true;
    }
    this.rig.dispatcher.requesterGone(gone);
    this.#observe();
    this.clients[client] = requesterNamed(gone.id);
  }

  #change(kind: "lose" | "return" | "unready", index: number): void {
    const name = agentNames[index];
    const agent = this.rig.agents.get(name);
    if (kind === "lose") {
      if (agent && agent.health !== "lost") this.rig.disconnect(name);
      this.#running.delete(name);
      return;
    }
    const options = { handle: index + 1, revision: index === 2 ? 2 : 1, slots };
    if (kind === "unready") {
      if (!agent || agent.health === "lost") return;
      agent.reports = agent.reports.map((report) => ({
        ...report,
        state: report.state === "ready" ? "loading" : "ready",
      }));
      this.rig.reroute();
      return;
    }
    if (agent && agent.health !== "lost") return;
    this.rig.connect(name, [reportOf("set", functionsOf(index), options)]);
  }

  /** Takes in what was sent since the last look. */
  #observe(): void {
    for (const [name, agent] of this.rig.agents) {
      for (const frame of this.#unseen(agent.sink)) {
        if (frame.op === Op.request) this.#observeRun(name, agent.health === "lost", frame);
      }
    }
    for (const client of new Set(this.requests.map((request) => request.client))) {
      for (const frame of this.#unseen(client.sink)) {
        if (frame.op === Op.part) continue;
        const request = this.requests.find((other) => other.client === client && other.id === frame.id);
        assert.ok(request, "an answer to a request that was sent");
        request.outcomes++;
      }
    }
  }

  #observeRun(agent: string, lost: boolean, frame: Frame): void {
    // The request id is the manager's count of admissions, and so the place in the model's list.
    const request = this.requests[Number.parseInt(frame.requestId.slice(8), 16) - 1];
    assert.equal(frame.name, request.endpoint);
    assert.ok(
      functionsOf(agentNames.indexOf(agent)).includes(frame.name.slice(4)),
      "only where it is loaded",
    );
    request.runs++;
    if (lost) return;
    const running = this.#running.get(agent) ?? new Map();
    running.set(frame.id, request);
    this.#running.set(agent, running);
  }

  #unseen(sink: { frames: Frame[] }): Frame[] {
    const from = this.#seen.get(sink) ?? 0;
    this.#seen.set(sink, sink.frames.length);
    return sink.frames.slice(from);
  }

  #check(): void {
    for (const request of this.requests) {
      assert.ok(request.outcomes <= 1, `request ${request.id} has ${request.outcomes} outcomes`);
      const runs = request.runs - request.givenBack;
      assert.ok(
        runs <= (request.idempotent ? limits.attemptsMax : 1),
        `request ${request.id} ran ${runs} times`,
      );
    }
    const snapshot = this.rig.dispatcher.snapshot();
    const open = this.requests.filter((request) => request.outcomes === 0 && !request.silenced);
    const atAgents = new Set([...this.#running.values()].flatMap((running) => [...running.values()]));
    const waiting = open.filter((request) => !atAgents.has(request));
    assert.equal(snapshot.queued, waiting.length, "what is neither answered nor at an agent is queued");
    for (const replica of snapshot.replicas) {
      const { agent, outstanding } = replica;
      assert.ok(outstanding >= 0 && outstanding <= slots, `${agent} has ${outstanding} of ${slots}`);
      const held = (this.#heldUntilMs.get(agent) ?? -1) > this.rig.clock.monotonicMs();
      if (held || replica.slots === 0 || !snapshot.agents.has(agent)) continue;
      const functions = functionsOf(agentNames.indexOf(agent));
      const servable = waiting.some((request) => functions.includes(request.endpoint.slice(4)));
      assert.ok(!servable || outstanding === slots, `${agent} idles while something waits for it`);
    }
  }
}

Deno.test("any history: one outcome each, no second run of what isn't idempotent, slots and queue within bounds, none idle", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), (steps) => {
      const model = new Model();
      for (const step of steps) model.apply(step);
      model.finish();
    }),
    { numRuns: 400 },
  );
});

Deno.test("any mix of clients: none waits longer than one turn of each other client", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 2, maxLength: 80, size: "max" }), (arrivals) => {
      const rig = new Rig([revisionOf("set", { queueMax: 100 })]);
      const agent = rig.connect("a0", [reportOf("set", ["main"], { slots: 1 })]);
      const clients = [0, 1, 2, 3].map((index) => requesterNamed(`c${index}`));
      const blocker = requesterNamed("blocker");
      rig.request(blocker, "set/main");
      arrivals.forEach((client, id) => rig.request(clients[client], "set/main", { id }));
      const total = arrivals.length;
      const served: number[] = [];
      for (let count = 0; count <= total; count++) {
        rig.reply("a0", agent.sink.of(Op.request)[count].id);
        const latest = clients.findIndex((client) => client.sink.frames.length > 0);
        if (latest >= 0) served.push(latest);
        for (const client of clients) client.sink.frames = [];
      }
      assert.equal(served.length, total);
      const left = clients.map((_, client) => arrivals.filter((arrival) => arrival === client).length);
      const waited = [0, 0, 0, 0];
      for (const client of served) {
        left[client]--;
        for (let other = 0; other < 4; other++) {
          waited[other] = other === client || left[other] === 0 ? 0 : waited[other] + 1;
          assert.ok(waited[other] <= 3, `client ${other} was passed over ${waited[other]} times`);
        }
      }
      rig.dispatcher.close();
    }),
    { numRuns: 100 },
  );
});
