/**
 * Rollouts, orders of rows and the past, in a real Chromium on a real cluster: what one sees is in the address, by mouse
 * and by keyboard, and a time in the past is told from the present.
 */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { type BrowserRig, drawnPixels, launchBrowser, withPage } from "../support/browser.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import type { PastRolloutView } from "../../lib/protocol/views.ts";

const json = { "content-type": "application/json" };

/** Deploys `hello` with one module of this text; a canary stays with a tenth of the requests. */
async function deploy(cluster: Cluster, version: string, canary: boolean): Promise<void> {
  const source = `export function greet(n: number) { return "${version} " + n; }\nexport function bye() {}\n`;
  const steps = [{ weight: 10, holdMs: 600_000 }];
  const rollout = canary ? { rollout: { strategy: "canary", steps } } : {};
  const deployed = await cluster.http("/v1/replicasets", {
    method: "POST",
    headers: json,
    body: JSON.stringify({
      replicaSet: { name: "hello", version, replicas: 2, ...rollout },
      modules: [{ path: "hello.ts", entry: true, base64: btoa(source) }],
    }),
  });
  assert.equal(deployed.status, 200, deployed.text);
  const wanted = canary ? "progressing" : "done";
  await eventually(`hello ${version} is ${wanted} and serves`, async () => {
    const [newest] = await rolloutsOf(cluster);
    const { placements } = (await cluster.overview()).replicaSets[0];
    return newest?.version === version && newest.state === wanted &&
      placements.some(({ revision, state }) => revision === newest.toRevision && state === "ready");
  });
}

async function rolloutsOf(cluster: Cluster): Promise<PastRolloutView[]> {
  return JSON.parse((await cluster.http("/v1/rollouts?replicaSet=hello")).text).rollouts;
}

async function invoke(cluster: Cluster, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const reply = await cluster.http("/v1/invoke/hello/greet", {
      method: "POST",
      headers: json,
      body: `${n}`,
    });
    assert.equal(reply.status, 200, reply.text);
  }
}

async function showsRollouts(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/rollouts" }, async (page) => {
    const rows = page.locator(".rollout-table tbody tr");
    await rows.filter({ hasText: "r1 → r2" }).getByText("progressing").waitFor();
    await rows.filter({ hasText: "1.0.0" }).getByText("admin deployed hello 1.0.0 as revision 1").waitFor();
    const under = page.locator(".under-way");
    await under.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
    await under.getByRole("button", { name: "Resume" }).waitFor();
    await rows.filter({ hasText: "r1 → r2" }).getByText("paused").waitFor();
    await page.goto(`${rig.cluster.url}/#/overview`);
    await page.locator(".rollout-row", { hasText: "paused" }).waitFor();
    await page.goto(`${rig.cluster.url}/#/rollouts`);
    await rows.filter({ hasText: "r1 → r2" }).getByRole("link").click();
    await page.waitForURL(/#\/rollouts\/hello\/\d+/);
    await page.locator(".lead", { hasText: "admin deployed hello 1.1.0 as revision 2" }).waitFor();
    await page.locator(".event", { hasText: "admin paused the rollout" }).waitFor();
    await page.locator('figure[aria-label="Runs by revision"]').waitFor();
    await invoke(rig.cluster, 40);
    // What was found can be sent to another.
    await page.reload();
    const judged = page.locator(".judged-table tbody tr", { hasText: "hello/greet" }).locator("td");
    await judged.first().waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Go back" }).click();
    await page.locator(".status", { hasText: "replaced" }).waitFor();
    await page.getByText("Something newer was deployed").waitFor();
    // What it was judged by stays with it.
    await page.reload();
    await page.locator(".status", { hasText: "replaced" }).waitFor();
    await judged.first().waitFor();
    const [before, after] = (await judged.allTextContents()).map(Number);
    assert.ok(before >= 20 && after > 0 && after < before, `${before} before, ${after} after`);
  });
  const [newest, undone] = await rolloutsOf(rig.cluster);
  assert.match(newest.cause ?? "", /admin set hello back to revision 1/);
  assert.equal(undone.state, "replaced");
  assert.equal(undone.judged?.find(({ endpoint }) => endpoint === "hello/greet")?.after.errors, 0);
}

async function offersByRole(rig: BrowserRig): Promise<void> {
  const user = { name: "guest", password: "only-for-looking" };
  const body = JSON.stringify({ ...user, role: "viewer" });
  assert.ok((await rig.cluster.http("/v1/users", { method: "POST", headers: json, body })).status < 300);
  await deploy(rig.cluster, "1.2.0", true);
  await withPage(rig, { user: user.name, password: user.password, hash: "#/rollouts" }, async (page) => {
    await page.locator(".under-way").getByText("r1 → r3").waitFor();
    assert.equal(await page.getByRole("button", { name: /Pause|Undo/ }).count(), 0);
  });
}

async function sorts(rig: BrowserRig): Promise<void> {
  const firstName = (page: Page) => page.locator(".endpoint-table tbody tr th").first().textContent();
  await withPage(rig, { hash: "#/endpoints" }, async (page) => {
    await page.locator(".endpoint-table tbody tr").nth(1).waitFor();
    assert.match(await firstName(page) ?? "", /hello\/bye/);
    await page.getByRole("button", { name: "Total" }).focus();
    await page.keyboard.press("Enter");
    await eventually(
      "the most called is first",
      async () => /hello\/greet/.test(await firstName(page) ?? ""),
    );
    const heading = page.locator('th[aria-sort="descending"]');
    assert.equal(await heading.textContent(), "Total");
    assert.match(page.url(), /sort=-totalRequests/);
    await page.getByRole("searchbox", { name: "Filter endpoints" }).fill("greet hel");
    assert.equal(await page.locator(".endpoint-table tbody tr").count(), 1);
    await page.reload();
    await page.locator('th[aria-sort="descending"]', { hasText: "Total" }).waitFor();
    await page.locator(".endpoint-table tbody tr").first().waitFor();
    assert.equal(await page.locator(".endpoint-table tbody tr").count(), 1);
    await page.getByRole("searchbox").fill("no such thing");
    await page.getByText("No endpoint matches").waitFor();
    await page.goto(`${rig.cluster.url}/#/events`);
    await page.getByRole("searchbox", { name: "Filter events" }).fill("paused");
    await page.locator(".event", { hasText: "admin paused" }).waitFor();
    await page.getByRole("radio", { name: "Errors", exact: true }).check();
    await page.getByText("No event matches").waitFor();
    await page.reload();
    await page.getByText("No event matches").waitFor();
    assert.equal(await page.getByRole("searchbox").inputValue(), "paused");
    assert.equal(await page.getByRole("radio", { name: "Errors", exact: true }).isChecked(), true);
    await page.goto(`${rig.cluster.url}/#/agents?sort=-cpu&filter=agent-2`);
    await page.locator(".agent", { hasText: "agent-2" }).waitFor();
    assert.equal(await page.locator(".agent").count(), 1);
    assert.equal(await page.getByRole("combobox", { name: "Order" }).inputValue(), "cpu");
    await page.setViewportSize({ width: 390, height: 860 });
    await page.goto(`${rig.cluster.url}/#/overview`);
    const rows = page.locator(".agent-rows li");
    await rows.filter({ hasText: "agent-2" }).waitFor();
    assert.match(await rows.first().textContent() ?? "", /agent-1/);
    await page.getByRole("button", { name: "Smallest first" }).click();
    await eventually(
      "the order is turned",
      async () => /agent-2/.test(await rows.first().textContent() ?? ""),
    );
    assert.match(page.url(), /overview\?.*sort=-name/);
    await page.getByRole("combobox", { name: "Order" }).selectOption("memory");
    assert.match(page.url(), /sort=-memory/);
  });
}

/** One request in five minutes is one point of a percentile: there is no line, and it must be seen all the same. */
async function showsASinglePoint(rig: BrowserRig): Promise<void> {
  const called = await rig.cluster.http("/v1/invoke/hello/bye", { method: "POST", headers: json, body: "1" });
  assert.ok(called.status < 300, called.text);
  await withPage(rig, { hash: "#/endpoints/hello/bye" }, async (page) => {
    const canvas = 'figure[aria-label="Latency"] canvas';
    await page.locator(canvas).waitFor();
    // The percentiles of one request are the same, so the line that is drawn last covers the others.
    await eventually("the point is drawn", async () => await drawnPixels(page, canvas, "--p50") >= 5);
  });
}

/** Kills an agent, and looks at the time before, in which it was well. */
async function looksBack(rig: BrowserRig): Promise<void> {
  const { cluster } = rig;
  const { cluster: { atMs: toMs } } = await eventually("both agents are well", async () => {
    const overview = await cluster.overview();
    return overview.agents.every(({ health }) => health === "ready") ? overview : null;
  });
  cluster.agents.get("agent-2")!.signal("SIGKILL");
  const [only] = (await rolloutsOf(cluster)).slice(-1);
  const past = `from=${only.startedAtMs - 30_000}&to=${toMs}`;
  await withPage(rig, { hash: "#/agents" }, async (page) => {
    await page.locator(".agent[data-health=lost]", { hasText: "agent-2" }).waitFor();
    const cells = page.locator(".agent[data-health=lost] .meter-value");
    assert.deepEqual(await cells.allTextContents(), ["–", "–"], "what it said last is not what it does now");
    await page.goto(`${cluster.url}/#/agents?${past}`);
    await page.getByText("The past, not live").waitFor();
    const card = page.locator(".agent[data-health=ready]", { hasText: "agent-2" });
    await card.getByText("Replicas: not recorded").waitFor();
    assert.match(await card.locator(".meter-value").first().textContent() ?? "", /^[\d.<]+ %$/);
    assert.equal(await page.locator(".live").isVisible(), false);
    await page.goto(`${cluster.url}/#/replicasets?${past}`);
    await page.locator(".set", { hasText: "2 of 2 ready" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Scale" }).isVisible(), false, "it would act on now");
    const asked = page.waitForRequest(/\/v1\/rollouts\?untilMs=\d/);
    await page.goto(`${cluster.url}/#/rollouts?${past}`);
    await asked;
    await page.goto(`${cluster.url}/#/endpoints?${past}`);
    const row = page.getByRole("row", { name: /hello\/greet/ });
    await eventually(
      "its requests of then are told",
      async () => Number(await row.locator('[data-column="requestsPerSecond"]').textContent()) > 0,
    );
    assert.equal(await row.locator('[data-column="readyReplicas"]').textContent(), "–");
    await page.getByRole("button", { name: "Back to now" }).click();
    await eventually(
      "it is now again",
      async () => await row.locator('[data-column="readyReplicas"]').textContent() !== "–",
    );
    assert.equal(await page.getByText("The past, not live").isVisible(), false);
  });
}

Deno.test("rollouts, orders and the past, in Chromium", async (t) => {
  const cluster = await startCluster({ agents: 2 });
  const browser = await launchBrowser();
  const rig = { cluster, browser };
  try {
    await deploy(cluster, "1.0.0", false);
    await invoke(cluster, 20);
    await deploy(cluster, "1.1.0", true);
    await t.step(
      "a rollout is paused, opened by its address and undone, with who and why",
      () => showsRollouts(rig),
    );
    await t.step("a viewer sees rollouts and is offered nothing to press", () => offersByRole(rig));
    await t.step("rows are sorted by keyboard and chosen by words; the address keeps both", () => sorts(rig));
    await t.step("a single value between gaps is seen", () => showsASinglePoint(rig));
    await t.step("a time in the past is shown as it was, and told from the present", () => looksBack(rig));
  } finally {
    await browser.close();
    await cluster.close();
  }
});
