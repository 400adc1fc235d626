import assert from "node:assert/strict";
import { join } from "node:path";
import { judgeRollout } from "../../lib/cli/follow_rollout.ts";
import { SqwishError } from "../../lib/errors.ts";
import type { DeployRequest } from "../../lib/protocol/deploy_views.ts";
import type { ReplicaSetView, RolloutView } from "../../lib/protocol/views.ts";
import { eventually } from "../support/eventually.ts";
import { runClient, unanswered } from "./command_line.ts";

function viewOf(
  rollout: Partial<RolloutView> | undefined,
  fields: Partial<ReplicaSetView> = {},
): ReplicaSetView {
  return {
    name: "images",
    version: "1.0.0",
    revision: 2,
    owner: "api",
    replicas: 2,
    ready: 2,
    wanted: 2,
    queued: 0,
    outstanding: 0,
    endpoints: [],
    placements: [],
    rollout: rollout && {
      replicaSet: "images",
      fromRevision: 1,
      toRevision: 2,
      state: "progressing",
      ready: 1,
      total: 2,
      startedAtMs: 0,
      ...rollout,
    },
    ...fields,
  };
}

async function inFolder(
  files: Record<string, string>,
  action: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), text);
    await action(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const module = "export function resize(input: number): number { return input; }\n";

Deno.test("`judgeRollout()` tells done, failed, superseded and under way apart", () => {
  assert.deepEqual(judgeRollout(viewOf({ state: "done", ready: 2 }), 2), {
    state: "done",
    text: "2 of 2 ready",
    share: 1,
  });
  assert.deepEqual(judgeRollout(viewOf({ state: "failed", reason: "ready() threw" }), 2), {
    state: "failed",
    text: "ready() threw",
  });
  assert.equal(judgeRollout(viewOf({ toRevision: 3 }), 2).state, "failed");
  assert.deepEqual(judgeRollout(viewOf({}, { pendingReason: "no agent has 64 GiB" }), 2), {
    state: "progressing",
    text: "1 of 2 ready (no agent has 64 GiB)",
    share: 0.5,
  });
  assert.equal(
    judgeRollout(viewOf({ toRevision: 1, state: "done" }, { revision: 1 }), 2).state,
    "progressing",
  );
  assert.equal(judgeRollout(viewOf(undefined), 2).state, "done");
  assert.equal(judgeRollout(viewOf(undefined, { ready: 0 }), 2).state, "progressing");
});

Deno.test("`deploy` sends the collected modules and follows the rollout to its end", async () => {
  await inFolder({ "resize.ts": module }, async (folder) => {
    let request: DeployRequest | undefined;
    let polls = 0;
    const argv = ["deploy", join(folder, "resize.ts"), "--name", "images", "--version", "1.0.0"];
    const { code, out, error } = await runClient([...argv, "--replicas", "all", "--label", "arch=aarch64"], {
      answers: {
        "POST /v1/replicasets": (body: unknown) => {
          request = body as DeployRequest;
          return { replicaSet: "images", revision: 2, changed: true };
        },
        "GET /v1/replicasets/images": () =>
          viewOf(++polls < 3 ? {} : { state: "done", ready: 2, startedAtMs: 1000, endedAtMs: 9000 }),
      },
    });
    assert.equal(code, 0, error);
    assert.deepEqual(request?.replicaSet, {
      name: "images",
      version: "1.0.0",
      replicas: "all",
      placement: { arch: "aarch64" },
    });
    assert.deepEqual(request?.modules.map(({ path, entry }) => ({ path, entry })), [{
      path: "resize.ts",
      entry: true,
    }]);
    assert.equal(atob(request?.modules[0].base64 ?? ""), module);
    assert.equal(out, "images: revision 2\n");
    assert.match(error, /^images revision 2: 1 of 2 ready\nimages revision 2: 2 of 2 ready, after 8 s\n$/);
  });
});

Deno.test("`deploy` without `--replicas` says what a set keeps, and with it that the number is meant", async () => {
  await inFolder({ "resize.ts": module }, async (folder) => {
    const requests: DeployRequest[] = [];
    const argv = ["deploy", join(folder, "resize.ts"), "--name", "images", "--version", "1.0.0", "--no-wait"];
    const answers = {
      "POST /v1/replicasets": (body: unknown) => {
        requests.push(body as DeployRequest);
        return {
          replicaSet: "images",
          revision: 2,
          changed: true,
          ...(requests.length === 1
            ? { keeps: 5, keptSettings: { names: ["env", "timeoutMs"], revision: 1 } }
            : {}),
        };
      },
    };
    const { out } = await runClient(argv, { answers });
    assert.equal(
      out,
      "images: revision 2\n" +
        "images: keeps env, timeoutMs of revision 1; deploy a file with -f to change them\n" +
        "images: keeps 5 replicas; --replicas or `client scale images` changes that\n",
    );
    const said = await runClient([...argv, "--replicas", "3"], { answers });
    assert.equal(said.out, "images: revision 2\n");
    assert.deepEqual(requests.map(({ rescale }) => rescale), [undefined, true]);
    assert.deepEqual(requests.map(({ keepSettings }) => keepSettings), [true, true]);
  });
});

Deno.test("`rollout status` of one that is over says when it was rolled out, and how long that took", async () => {
  const done = viewOf({ state: "done", ready: 2, startedAtMs: 1000, endedAtMs: 9000 });
  const { code, error } = await runClient(["rollout", "status", "images"], {
    answers: { "GET /v1/replicasets/images": done },
  });
  assert.equal(code, 0);
  assert.equal(error, "images: 2 of 2 ready; rolled out at 1970-01-01 00:00:09, in 8 s\n");
});

Deno.test("`deploy -f` reads everything from a file, relative to it, and options win over it", async () => {
  const file =
    '{\n // one set\n "name": "images", "version": "1.0.0", "modules": ["./resize.ts"], "memoryMb": 64 }';
  await inFolder({ "resize.ts": module, "set.jsonc": file }, async (folder) => {
    let request: DeployRequest | undefined;
    const argv = [
      "deploy",
      "-f",
      join(folder, "set.jsonc"),
      "--version",
      "1.1.0",
      "--replicas",
      "3",
      "--no-wait",
    ];
    const { code, error } = await runClient(argv, {
      answers: {
        "POST /v1/replicasets": (body: unknown) => {
          request = body as DeployRequest;
          return { replicaSet: "images", revision: 2, changed: true };
        },
      },
    });
    assert.deepEqual([code, error], [0, ""]);
    const { name, version, replicas, memoryMb }: Record<string, unknown> = request?.replicaSet ?? {};
    assert.deepEqual({ name, version, replicas, memoryMb }, {
      name: "images",
      version: "1.1.0",
      replicas: 3,
      memoryMb: 64,
    });
    assert.equal(request?.replicaSet.modules, undefined);
    assert.equal(request?.keepSettings, undefined, "a file says everything");
    assert.equal(request?.modules.length, 1);
  });
});

Deno.test("`deploy` of what has not changed follows nothing, and tells of a scale that ends with it", async () => {
  await inFolder({ "resize.ts": module }, async (folder) => {
    const argv = ["deploy", join(folder, "resize.ts"), "--name", "images", "--version", "1.0.0"];
    const same = { replicaSet: "images", revision: 2, changed: false };
    const { code, out } = await runClient(argv, { answers: { "POST /v1/replicasets": same } });
    assert.deepEqual([code, out], [0, "images: nothing has changed since revision 2\n"]);
    const scaled = await runClient([...argv, "--replicas", "3"], {
      answers: { "POST /v1/replicasets": { ...same, rescaled: 3 } },
    });
    assert.equal(
      scaled.out,
      "images: nothing has changed since revision 2, but the scale ends: 3 replicas wanted\n",
    );
  });
});

Deno.test("a failed rollout is exit code 1 with its reason", async () => {
  await inFolder({ "resize.ts": module }, async (folder) => {
    const argv = ["deploy", join(folder, "resize.ts"), "--name", "images", "--version", "1.0.0"];
    const { code, error } = await runClient(argv, {
      answers: {
        "POST /v1/replicasets": { replicaSet: "images", revision: 2, changed: true },
        "GET /v1/replicasets/images": viewOf({
          state: "failed",
          reason: "attic-pi: ready() threw: no camera",
        }),
      },
    });
    assert.equal(code, 1);
    assert.match(
      error,
      /^client: The rollout of images revision 2 failed: attic-pi: ready\(\) threw: no camera \(/,
    );
  });
});

Deno.test("`deploy` finds what is wrong before anything is sent, all of it", async () => {
  await inFolder({ "bad.jsonc": '{ "name": "Images", "version": "", "modulse": [] }' }, async (folder) => {
    const usage = [["deploy"], ["deploy", "x.ts", "--version", "1"], ["deploy", "x.ts", "--name", "a"]];
    for (const argv of [...usage, ["deploy", "x.ts", "-f", "y.jsonc"]]) {
      const { code, manager } = await runClient(argv);
      assert.deepEqual([code, manager.dials], [2, 0], argv.join(" "));
    }
    const missing = await runClient(["deploy", join(folder, "gone.ts"), "--name", "a", "--version", "1"]);
    assert.equal(missing.code, 1);
    assert.match(missing.error, /gone\.ts: does not exist.*\(invalid_request\)/);
    const file = await runClient(["deploy", "-f", join(folder, "bad.jsonc")]);
    assert.equal(file.code, 1);
    assert.match(file.error, /name/);
    assert.match(file.error, /modulse/);
    assert.equal(missing.manager.dials + file.manager.dials, 0);
  });
});

Deno.test("`scale`, `delete` and `rollout undo` change what they say", async () => {
  const bodies: unknown[] = [];
  const answers = {
    "PUT /v1/replicasets/images/replicas": (body: unknown) => {
      bodies.push(body);
      return { warnings: bodies.length === 1 ? ["images runs on 2 agents only"] : [] };
    },
    "DELETE /v1/replicasets/images": {},
    "POST /v1/replicasets/images/rollback": (body: unknown) => {
      bodies.push(body);
      return { replicaSet: "images", revision: 2, changed: true, warnings: ["revision 2 failed"] };
    },
    "GET /v1/replicasets/images": viewOf({ state: "done", ready: 2 }),
  };
  const scaled = await runClient(["scale", "images", "3"], { answers });
  assert.equal(scaled.out, "images: 3 replicas wanted\n");
  assert.deepEqual([scaled.code, scaled.error], [0, "warning: images runs on 2 agents only\n"]);
  assert.equal((await runClient(["scale", "images", "all"], { answers })).code, 0);
  assert.equal((await runClient(["delete", "images"], { answers })).out, "images: deleted\n");
  const deletes = {
    "DELETE /v1/replicasets/images": {},
    "DELETE /v1/replicasets/agent": {},
    "DELETE /v1/agents/pi-1": { accounts: ["pi-1-0a1b2c3d"] },
    "DELETE /v1/agents/pi-2": { accounts: [] },
  };
  const deleted = async (...words: string[]) => {
    const { code, out } = await runClient(["delete", ...words], { answers: deletes });
    return [code, out];
  };
  assert.deepEqual(await deleted("images", "agent"), [0, "images: deleted\nagent: deleted\n"]);
  assert.deepEqual(await deleted("replicaset", "images"), [0, "images: deleted\n"]);
  assert.deepEqual(await deleted("agent"), [0, "agent: deleted\n"]);
  const agents = "pi-1: deleted; it can't sign in again\npi-2: deleted\n";
  assert.deepEqual(await deleted("agent", "pi-1", "pi-2"), [0, agents]);
  assert.deepEqual(await deleted("agents", "pi-1", "images"), [1, ""], "no further after a mistake");
  const undone = await runClient(["rollout", "undo", "images", "--to", "1"], { answers });
  assert.equal(undone.code, 0);
  assert.match(undone.error, /^warning: revision 2 failed\n/);
  assert.equal((await runClient(["rollout", "undo", "images"], { answers })).code, 0);
  assert.deepEqual(bodies, [{ replicas: 3 }, { replicas: "all" }, { toRevision: 1 }, {}]);
  assert.equal((await runClient(["scale", "images", "many"], { answers })).code, 2);
});

Deno.test("what the configuration file owns is refused in the manager's words", async () => {
  const refusal = new SqwishError("conflict", "images belongs to the configuration file cluster.jsonc");
  const { code, error } = await runClient(["delete", "images"], {
    answers: { "DELETE /v1/replicasets/images": refusal },
  });
  assert.deepEqual([code, error], [
    1,
    "client: images belongs to the configuration file cluster.jsonc (conflict)\n",
  ]);
});

Deno.test("Ctrl-C stops following; the rollout goes on and the message says so", async () => {
  const { code, error } = await runClient(["rollout", "status", "images"], {
    answers: { "GET /v1/replicasets/images": viewOf({}) },
    async meanwhile({ terminal }) {
      await eventually("the first line", () => terminal.error.includes("1 of 2 ready"));
      terminal.interrupt();
    },
  });
  assert.equal(code, 1);
  assert.match(error, /the rollout itself goes on/);
});

Deno.test("Ctrl-C during a look at a rollout says the same as between two", async () => {
  let looks = 0;
  const { code, error } = await runClient(["rollout", "status", "images"], {
    answers: { "GET /v1/replicasets/images": () => ++looks && unanswered },
    async meanwhile({ terminal }) {
      await eventually("the first look", () => looks > 0);
      terminal.interrupt();
    },
  });
  assert.equal(code, 1);
  assert.match(error, /^client: No longer following images; the rollout itself goes on \(cancelled\)\n$/);
});

/** Ctrl-C once this request has gone out, which is never answered; what is said then. */
async function interruptedOnce(request: string, argv: string[]): Promise<string> {
  let sent = false;
  const { code, error } = await runClient(argv, {
    answers: { [request]: () => (sent = true) && unanswered },
    async meanwhile({ terminal }) {
      await eventually("the request", () => sent);
      terminal.interrupt();
    },
  });
  assert.equal(code, 1);
  return error;
}

Deno.test("Ctrl-C once an undo has gone out says that it may be done", async () => {
  const error = await interruptedOnce("POST /v1/replicasets/images/rollback", ["rollout", "undo", "images"]);
  assert.match(
    error,
    /images may go back all the same; `client rollout status images` shows it \(cancelled\)/,
  );
});

Deno.test("Ctrl-C once a deployment has gone out says that it may be done, and how to see", async () => {
  await inFolder({ "resize.ts": module }, async (folder) => {
    const argv = ["deploy", join(folder, "resize.ts"), "--name", "images", "--version", "1.0.0"];
    const error = await interruptedOnce("POST /v1/replicasets", argv);
    assert.match(
      error,
      /images may have been deployed all the same; `client get revisions --replicaset images` shows it \(cancelled\)/,
    );
  });
});
