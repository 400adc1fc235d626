import assert from "node:assert/strict";
import { type Sqwish, SqwishError } from "../../client.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { deploy, deployed, overviewOf, patienceMs, setOf } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";

/** A folder as a user has it: the file, modules beside it, and a library shared from elsewhere. */
const initial = {
  "cluster.jsonc": configurationText("1.0.0"),
  "modules/greet.ts": `import { word } from "../../shared/words.ts";
    export const greet = (name: string): string => word + ", " + name;`,
  "modules/extra.ts": `export const extra = () => "extra";`,
  "../shared/words.ts": `export const word: string = "Hello";`,
};

function configurationText(version: string, extra = true, more = ""): string {
  const set = (name: string, file: string, rest = "") =>
    `{ "name": "${name}", "version": "${version}", "modules": ["./modules/${file}.ts"], ${rest}
       "rollout": { "minReadyMs": 0, "rollback": false } }`;
  return `{
    // comments are welcome
    "cluster": "attic",
    "replicaSets": [
      ${set("greeter", "greet", more)},
      ${extra ? set("other", "extra") : ""}
    ],
  }`;
}

Deno.test("the configuration file is followed, and a bad one changes nothing", async (t) => {
  const home = await Deno.makeTempDir({ prefix: "sqwish-configuration-" });
  const folder = `${home}/cluster`;
  for (const [path, text] of Object.entries(initial)) await write(`${folder}/${path}`, text);
  const cluster = await startCluster({ agents: 1, configuration: initial["cluster.jsonc"], folder });
  const change = (path: string, text: string) => write(`${folder}/${path}`, text);
  try {
    const sqwish = await cluster.connect();
    // While a rollout is under way, old and new answer side by side.
    const rolledOut = () =>
      eventually(
        "the rollout is done",
        async () => (await setOf(sqwish, "greeter"))!.rollout?.state !== "progressing",
        patienceMs,
      );
    const greets = async (reply: string) => {
      await eventually(
        `the reply is ${reply}`,
        async () => await sqwish.invoke("greeter/greet", "Ada") === reply,
        patienceMs,
      );
      await rolledOut();
    };
    await t.step("its sets run from the start", async () => {
      assert.equal(sqwish.cluster, "attic");
      await greets("Hello, Ada");
      assert.equal(await sqwish.invoke("other/extra"), "extra");
    });
    await t.step("a module's edit rolls out", async () => {
      await change(
        "modules/greet.ts",
        initial["modules/greet.ts"].replace(`", " + name`, `", dear " + name`),
      );
      await greets("Hello, dear Ada");
    });
    await t.step("so does an edit of a library in another folder, also by an atomic rename", async () => {
      await change("../shared/words.ts", `export const word: string = "Salut";`);
      await greets("Salut, dear Ada");
      await renamed(`${home}/shared/words.ts`, `export const word: string = "Ciao";`);
      await greets("Ciao, dear Ada");
      assert.equal((await setOf(sqwish, "greeter"))!.revision, 4);
      assert.equal((await setOf(sqwish, "other"))!.revision, 1, "what did not change has no new revision");
    });
    await t.step("the file replaced by a rename is noticed", async () => {
      await renamed(`${folder}/cluster.jsonc`, configurationText("2.0.0"));
      await eventually(
        "version 2.0.0 runs",
        async () => (await setOf(sqwish, "greeter"))!.version === "2.0.0",
        patienceMs,
      );
    });
    await t.step("a bad file is refused whole, with every error by its path", async () => {
      const bad = configurationText("3.0.0").replace('"attic"', '"Attic!"')
        .replace(`"minReadyMs": 0`, `"minReadyMs": "soon"`);
      await change("cluster.jsonc", bad);
      const errors = await refused(sqwish);
      assert.match(errors.join("\n"), /cluster\.jsonc.*replicaSets\[0\]\.rollout\.minReadyMs: .*is "soon"/);
      assert.match(errors.join("\n"), /cluster: .*is "?Attic!/);
      await stillRuns(cluster, sqwish, "2.0.0", "minReadyMs");
    });
    await t.step("a repaired file applies, and says so", async () => {
      await change("cluster.jsonc", configurationText("3.0.0"));
      await accepted(sqwish);
      assert.equal((await setOf(sqwish, "greeter"))!.version, "3.0.0");
      assert.ok(await hasEvent(sqwish, "configuration_accepted"));
    });
    await t.step("a module that does not parse is refused by file, line and column", async () => {
      await change("modules/extra.ts", `export const extra = () =>\n  "extra" +;`);
      await change("modules/greet.ts", `export const greet = () => "must not run";`);
      assert.match((await refused(sqwish)).join("\n"), /modules\/extra\.ts:2:\d+/);
      await rolledOut();
      await stillRuns(cluster, sqwish, "3.0.0", "modules/extra.ts");
      assert.equal(await sqwish.invoke("greeter/greet", "Ada"), "Ciao, dear Ada");
      await change("modules/extra.ts", `export const extra = () => "more";`);
      await accepted(sqwish);
      await eventually("both apply together", async () => {
        return await sqwish.invoke("other/extra") === "more" &&
          await sqwish.invoke("greeter/greet", "Ada") === "must not run";
      }, patienceMs);
      await rolledOut();
      await change("modules/greet.ts", initial["modules/greet.ts"]);
      await greets("Ciao, Ada");
    });
    await t.step("a library that vanishes is named, and noticed when it is back", async () => {
      await Deno.rename(`${home}/shared/words.ts`, `${home}/words.ts`);
      assert.match((await refused(sqwish)).join("\n"), /shared\/words\.ts/);
      await change("../shared/words.ts", `export const word: string = "Back";`);
      await accepted(sqwish);
      await greets("Back, Ada");
    });
    await t.step(
      "clients can't change what the file owns, and are told so",
      () => clientsRefused(cluster, sqwish),
    );
    await t.step("a set that the file no longer names is deleted", async () => {
      await deployed(sqwish, "mine", { "m.ts": "export const mine = () => 1;" });
      await change("cluster.jsonc", configurationText("3.0.0", false));
      await eventually("other is gone", async () => await setOf(sqwish, "other") === undefined, patienceMs);
      await assert.rejects(sqwish.invoke("other/extra"), { code: "not_found" });
      assert.equal(await sqwish.invoke("mine/mine"), 1, "what clients deployed stays");
    });
    await t.step("SIGHUP reads it again, and a set's new settings apply", async () => {
      await change(
        "cluster.jsonc",
        configurationText("4.0.0", false, `"env": { "A": "1" }, "memoryMb": 128,`),
      );
      cluster.manager.signal("SIGHUP");
      await eventually("version 4.0.0 runs", async () => {
        const set = (await setOf(sqwish, "greeter"))!;
        return set.version === "4.0.0" && set.rollout?.state === "done";
      }, patienceMs);
      assert.equal(cluster.manager.status, null);
    });
    await t.step("a restart makes no new revisions", () => restarts(cluster, sqwish));
  } finally {
    await cluster.close();
    await Deno.remove(home, { recursive: true });
  }
});

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}

/** As editors save: a new file beside the old one, then renamed over it. */
async function renamed(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new~`, text);
  await Deno.rename(`${path}.new~`, path);
}

async function refused(sqwish: Sqwish): Promise<string[]> {
  return await eventually("the edit is refused", async () => {
    const { configurationErrors } = (await overviewOf(sqwish)).cluster;
    return configurationErrors.length > 0 ? configurationErrors : undefined;
  }, patienceMs);
}

async function accepted(sqwish: Sqwish): Promise<void> {
  await eventually("the edit is accepted", async () => {
    return (await overviewOf(sqwish)).cluster.configurationErrors.length === 0;
  }, patienceMs);
}

async function hasEvent(sqwish: Sqwish, kind: string): Promise<boolean> {
  const { json } = await sqwish.call("GET", `/v1/events?kind=${kind}`);
  return (json as { events: unknown[] }).events.length > 0;
}

/** The refusal is in the log, the events and the overview; the sets go on as they were. */
async function stillRuns(cluster: Cluster, sqwish: Sqwish, version: string, named: string): Promise<void> {
  const { cluster: { problems }, replicaSets, events } = await overviewOf(sqwish);
  for (const set of replicaSets) assert.equal(set.version, version);
  assert.ok(problems.some((problem) => problem.includes("configuration file was refused")), problems.join());
  const event = events.find(({ kind }) => kind === "configuration_refused");
  assert.ok(event?.message.includes(named), event?.message);
  // What it prints takes another way.
  await eventually("the log tells of it", () => {
    const line = cluster.manager.output.split("\n").findLast((at) => at.includes("configuration file"));
    return line?.includes(named);
  }, patienceMs);
  assert.match(await sqwish.invoke("greeter/greet", "Ada") as string, /Ada$/);
}

async function clientsRefused(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const changes: [string, () => Promise<unknown>][] = [
    ["deployed", () => deploy(sqwish, "greeter", { "m.ts": "export const greet = () => 1;" })],
    ["scaled", () => sqwish.call("PUT", "/v1/replicasets/greeter/replicas", { replicas: 2 })],
    ["undone", () => sqwish.call("POST", "/v1/replicasets/greeter/rollback", {})],
    ["deleted", () => sqwish.call("DELETE", "/v1/replicasets/greeter")],
  ];
  for (const [what, run] of changes) {
    const error = await run().then(() => undefined, (thrown) => thrown);
    assert.ok(error instanceof SqwishError, `greeter must not be ${what} by a client`);
    assert.equal(error.code, "conflict");
    assert.match(error.message, new RegExp(`greeter belongs to the configuration file and can't be ${what}`));
  }
  const deleted = await cluster.client(["delete", "greeter"]);
  assert.equal(deleted.code, 1);
  assert.match(deleted.stderr, /^.*belongs to the configuration file.*change the file.*$/m);
  assert.equal(deleted.stderr.trim().split("\n").length, 1);
  assert.equal(await sqwish.invoke("greeter/greet", "Ada"), "Back, Ada");
}

async function restarts(cluster: Cluster, sqwish: Sqwish): Promise<void> {
  const before = (await setOf(sqwish, "greeter"))!.revision;
  await cluster.manager.end();
  await cluster.startManager();
  await eventually("it runs as before", async () => {
    return await sqwish.invoke("greeter/greet", "Ada", { idempotent: true }) === "Back, Ada";
  }, patienceMs);
  assert.equal((await setOf(sqwish, "greeter"))!.revision, before);
  assert.equal(await sqwish.invoke("mine/mine"), 1);
}
