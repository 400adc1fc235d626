/**
 * The dashboard in a real Chromium on a real cluster: a manager and two agents as processes of their own. Steps share
 * the cluster; each opens pages of its own. A page that complains on its console fails its step.
 */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import {
  type BrowserRig,
  drawnPixels,
  launchBrowser,
  openPage,
  signIn,
  unexpected,
  withPage,
} from "../support/browser.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const moduleText = `
/** Greets by name; <b>markup</b> in this line must stay text. */
export function greet(input: { name: string }, ctx: { log: { info(text: string): void } }) {
  ctx.log.info("greeting " + input.name);
  return { greeting: "Hello " + input.name };
}
/** Fails each time. */
export function fail() {
  throw new Error("no dictionary");
}
/** Counts down in parts. */
export async function* countdown(input: { from: number }) {
  for (let n = input.from; n > 0; n--) yield n;
}
/** A picture of one pixel. */
export function dot() {
  return Uint8Array.from(atob("${"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}"), (char) => char.charCodeAt(0));
}
export const endpoints = {
  greet: { input: { type: "object", properties: { name: { type: "string", default: "Ada" } }, required: ["name"] } },
};
`;

const configuration = `{
  "cluster": "attic",
  "replicaSets": [
    { "name": "hello", "version": "1.0.0", "modules": ["./hello.ts"], "replicas": "all" }
  ]
}`;

const views = ["overview", "agents", "replicasets", "rollouts", "endpoints", "events"];
const details = ["agents/agent-1", "replicasets/hello", "endpoints/hello/greet"];

/** Requests to endpoints, so that the charts have something to draw. */
async function invokeSome(cluster: Cluster, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const reply = await cluster.http("/v1/invoke/hello/greet", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: `visitor ${index}` }),
    });
    assert.equal(reply.status, 200, reply.text);
  }
}

async function signsIn({ cluster, browser }: BrowserRig): Promise<void> {
  const { page, close, complaints } = await openPage(browser);
  await page.goto(cluster.url);
  await signIn(page, "admin", "not the password");
  await page.getByRole("alert").filter({ hasText: "don't match" }).waitFor();
  assert.equal(await page.locator(".shell").count(), 0);
  await signIn(page, "admin", cluster.adminPassword);
  await page.locator(".brand-cluster", { hasText: "attic" }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite], [true, true, "Strict"]);
  await page.reload();
  await page.locator(".shell").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Password").waitFor();
  await page.reload();
  await page.getByLabel("Password").waitFor();
  assert.deepEqual(unexpected(complaints), []);
  await close();
}

async function showsTheCluster(rig: BrowserRig): Promise<void> {
  await invokeSome(rig.cluster, 12);
  await withPage(rig, {}, async (page) => {
    await page.getByText("2 agents ready").waitFor();
    for (const name of ["agent-1", "agent-2"]) {
      await page.locator(".agent-rows .name", { hasText: name }).waitFor();
    }
    await page.locator(".legend-label", { hasText: "hello/greet" }).first().waitFor();
    for (const title of ["Requests", "Latency", "CPU", "Memory"]) {
      const canvas = `figure[aria-label="${title}"] canvas`;
      await page.locator(canvas).waitFor();
      await eventually(`the chart of ${title} is drawn`, async () => await drawnPixels(page, canvas) > 1000);
    }
    await page.getByRole("link", { name: "Agents", exact: false }).first().click();
    await page.locator(".agent", { hasText: "agent-2" }).getByText("ready", { exact: true }).waitFor();
    await page.locator(".agent", { hasText: "agent-2" }).locator(".chip", { hasText: "hello" }).waitFor();
    await page.goto(`${rig.cluster.url}/#/replicasets/hello`);
    await page.getByText("2 of 2 ready").waitFor();
    await page.locator(".revision-table").getByText("current").waitFor();
    await page.locator(".log").getByText("greeting visitor 11").waitFor();
    await page.goto(`${rig.cluster.url}/#/events`);
    await page.locator(".event", { hasText: "agent-1" }).first().waitFor();
  });
}

async function keepsTextAsText(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/endpoints" }, async (page) => {
    const row = page.getByRole("row", { name: /hello\/greet/ });
    await row.getByText("<b>markup</b>").waitFor();
    assert.equal(await page.locator("td b, th b").count(), 0);
  });
}

async function movesWithoutReloading(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/endpoints" }, async (page) => {
    const row = page.getByRole("row", { name: /hello\/greet/ });
    const total = row.locator('[data-column="totalRequests"]');
    await total.waitFor();
    const before = Number(await total.textContent());
    await page.evaluate(() => document.documentElement.dataset.untouched = "yes");
    const node = await row.elementHandle();
    await invokeSome(rig.cluster, 3);
    await eventually(
      "three more are counted",
      async () => Number(await total.textContent()) === before + 3,
    );
    assert.equal(await page.evaluate(() => document.documentElement.dataset.untouched), "yes");
    assert.equal(await node!.evaluate((element) => element.isConnected), true, "the row was made anew");
  });
}

async function triesOut(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/endpoints/hello/greet" }, async (page, { complaints }) => {
    const invoke = page.getByRole("button", { name: "Invoke" });
    const output = page.locator(".output");
    assert.match(await page.getByLabel("Input, JSON").inputValue(), /"name": "Ada"/);
    await page.getByLabel("Input, JSON").fill('{"name": "Grace"}');
    await invoke.click();
    await output.getByText('"greeting": "Hello Grace"').waitFor();
    assert.match(
      await page.locator(".timing").textContent() ?? "",
      /queue [\d.]+ ms · run [\d.]+ m?s · total/,
    );
    await page.getByLabel("Input, JSON").fill("{oops");
    await invoke.click();
    await page.getByRole("alert").filter({ hasText: "must be JSON" }).waitFor();
    await page.goto(`${rig.cluster.url}/#/endpoints/hello/countdown`);
    await page.getByLabel("Input, JSON").fill('{"from": 3}');
    await invoke.click();
    await eventually("all parts are shown", async () => await output.textContent() === "3\n2\n1\n");
    await page.goto(`${rig.cluster.url}/#/endpoints/hello/dot`);
    await invoke.click();
    await page.locator("img.picture:visible").waitFor();
    assert.equal(
      await page.locator("img.picture").evaluate((node) => (node as HTMLImageElement).naturalWidth),
      1,
    );
    await page.goto(`${rig.cluster.url}/#/endpoints/hello/fail`);
    await invoke.click();
    await page.getByRole("alert").filter({ hasText: "module_failed" }).filter({ hasText: "no dictionary" })
      .waitFor();
    // The refused invocation is on the console, as Chromium notes every status of failure.
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !/502 .*hello\/fail/.test(text)));
  });
}

/** Deploys `numbers` through the API and waits until it runs. */
async function deployNumbers(cluster: Cluster, version: string): Promise<void> {
  const module = `export function double(n: number) {\n  return 2 * n; // ${version}\n}\n`;
  const deployed = await cluster.http("/v1/replicasets", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      replicaSet: { name: "numbers", version, replicas: 1 },
      modules: [{ path: "numbers.ts", entry: true, base64: btoa(module) }],
    }),
  });
  assert.equal(deployed.status, 200, deployed.text);
  await eventually(`numbers ${version} runs`, async () => {
    const set = (await cluster.overview()).replicaSets.find(({ name }) => name === "numbers");
    return set?.version === version && set.ready === 1 && set.rollout?.state === "done";
  }, 20_000);
}

async function changesReplicaSets(rig: BrowserRig): Promise<void> {
  await deployNumbers(rig.cluster, "1.0.0");
  await deployNumbers(rig.cluster, "2.0.0");
  await withPage(rig, { hash: "#/replicasets/numbers" }, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Scale" }).click();
    await dialog.getByLabel("Replicas").fill("2");
    await dialog.getByRole("button", { name: "Scale" }).click();
    await page.getByText("2 of 2 ready").waitFor();
    await page.getByRole("button", { name: "Go back to revision 1" }).waitFor();
    const revisions = page.locator(".revision-table tbody th");
    assert.deepEqual(await revisions.allTextContents(), ["r2", "r1"]);
    await page.locator(".revision-table").getByRole("button", { name: "Version" }).click();
    assert.deepEqual(await revisions.allTextContents(), ["r1", "r2"]);
    assert.match(page.url(), /sort\.revisions=version/);
    await page.getByRole("button", { name: "Undo" }).click();
    await dialog.getByRole("button", { name: "Go back" }).click();
    await page.locator(".notice", { hasText: "goes back" }).waitFor();
    await page.locator(".set-version", { hasText: "1.0.0" }).waitFor();
    await page.goto(`${rig.cluster.url}/#/replicasets/hello`);
    assert.equal(await page.getByRole("button", { name: "Scale" }).isDisabled(), true);
  });
}

async function offersViewersNothingToPress(rig: BrowserRig): Promise<void> {
  const password = "only-for-looking";
  const made = await rig.cluster.http("/v1/users", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "guest", role: "viewer", password }),
  });
  assert.equal(made.status, 200, made.text);
  await withPage(rig, { user: "guest", password }, async (page) => {
    await page.getByText("2 agents ready").waitFor();
    for (const hash of [...views, ...details]) {
      await page.goto(`${rig.cluster.url}/#/${hash}`);
      await page.locator(".main .card").first().waitFor();
      for (const name of ["Scale", "Undo", "Go back", "Cordon", "Invoke", "Add a machine"]) {
        assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, `${name} on ${hash}`);
      }
    }
  });
}

async function fitsAPhone(rig: BrowserRig): Promise<void> {
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
  await withPage(rig, phone, async (page) => {
    for (const hash of [...views, ...details]) {
      await page.goto(`${rig.cluster.url}/#/${hash}`);
      await page.locator(".main .card").first().waitFor();
      const surplus = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(surplus <= 0, `${hash} is ${surplus} px too wide`);
      assert.equal(await page.getByRole("navigation").isVisible(), true);
    }
  });
}

async function hasTwoThemes(rig: BrowserRig): Promise<void> {
  const lightness = (page: Page) =>
    page.evaluate(() => {
      const [red, green, blue] = getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g)!
        .map(Number);
      return (red + green + blue) / 765;
    });
  await withPage(rig, { colorScheme: "dark" }, async (page) => {
    assert.ok(await lightness(page) < 0.2, "the system's dark theme is not followed");
    await page.getByRole("button", { name: "Theme: system" }).click();
    assert.ok(await lightness(page) > 0.8, "light was not chosen");
    await page.reload();
    await page.getByRole("button", { name: "Theme: light" }).waitFor();
    assert.ok(await lightness(page) > 0.8, "the choice was not kept");
    await page.getByRole("button", { name: "Theme: light" }).click();
    assert.ok(await lightness(page) < 0.2, "dark was not chosen");
  });
}

async function worksByKeyboard(rig: BrowserRig): Promise<void> {
  await withPage(rig, {}, async (page) => {
    await page.locator(".tile").first().waitFor();
    await page.getByRole("link", { name: "ReplicaSets" }).focus();
    await page.keyboard.press("Enter");
    await page.locator(".set", { hasText: "numbers" }).getByRole("button", { name: "Undo" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const unnamed = await page.evaluate(() =>
      [...document.querySelectorAll("button, input, a")].filter((node) => {
        const labels = (node as HTMLInputElement).labels?.length ?? 0;
        return !node.getAttribute("aria-label") && !node.textContent?.trim() && labels === 0;
      }).map((node) => node.outerHTML)
    );
    assert.deepEqual(unnamed, []);
  });
}

async function showsALostAgent(rig: BrowserRig): Promise<void> {
  await withPage(rig, {}, async (page) => {
    await page.getByText("2 agents ready").waitFor();
    rig.cluster.agents.get("agent-2")!.signal("SIGKILL");
    await page.locator(".agent-rows li", { hasText: "agent-2" }).getByText("lost", { exact: true })
      .waitFor({ timeout: 5000 });
    await page.getByText("1 of 2 agents ready").waitFor();
    await page.locator(".face[data-health=lost]").waitFor();
    rig.cluster.startAgent("agent-2");
    await page.getByText("2 agents ready").waitFor();
  });
}

async function outlivesTheManager(rig: BrowserRig): Promise<void> {
  await withPage(rig, {}, async (page, { complaints }) => {
    await page.locator(".live", { hasText: "live" }).waitFor();
    await page.evaluate(() => document.documentElement.dataset.untouched = "yes");
    await rig.cluster.manager.end();
    await page.locator(".live", { hasText: "reconnecting… data is" }).waitFor();
    await rig.cluster.startManager();
    await page.locator(".live", { hasText: /^live$/ }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.untouched), "yes");
    // Chromium notes each attempt while the manager is away.
    const refused = /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE|ERR_NETWORK/;
    complaints.splice(0, complaints.length, ...complaints.filter((text) => !refused.test(text)));
  });
}

/** The last step: from then on this address may not sign in for a while. */
async function saysWhenLocked({ cluster, browser }: BrowserRig): Promise<void> {
  const { page, close } = await openPage(browser);
  await page.goto(cluster.url);
  const alert = page.getByRole("alert");
  for (let attempt = 0; attempt < 5; attempt++) {
    await signIn(page, "admin", `guess ${attempt}`);
    await alert.filter({ hasText: "don't match" }).waitFor();
  }
  await signIn(page, "admin", cluster.adminPassword);
  await alert.filter({ hasText: /Too many failed attempts.*Try again in (1 min|\d+ s)/ }).waitFor();
  await close();
}

Deno.test("the dashboard in a browser", async (test) => {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-browser-" });
  await Deno.writeTextFile(`${folder}/hello.ts`, moduleText);
  await Deno.writeTextFile(
    `${folder}/numbers.ts`,
    "export function double(n: number) {\n  return 2 * n;\n}\n",
  );
  const cluster = await startCluster({ agents: 2, configuration, folder });
  const browser = await launchBrowser();
  const rig = { cluster, browser };
  const step = (name: string, run: (given: typeof rig) => Promise<void>) => test.step(name, () => run(rig));
  try {
    await step("refuses a wrong password in words, signs in with the right one, and out again", signsIn);
    await step("shows agents, replicaSets, endpoints, events and charts that are not blank", showsTheCluster);
    await step("shows markup in descriptions as text", keepsTextAsText);
    await step("counts an invocation without reloading, in the same row", movesWithoutReloading);
    await step("tries endpoints out: JSON, bad JSON, a stream, a picture, a failure", triesOut);
    await step(
      "scales and undoes a deployed set, and leaves the configuration file's alone",
      changesReplicaSets,
    );
    await step("shows a viewer no buttons that a viewer may not press", offersViewersNothingToPress);
    await step("fits a phone in every view", fitsAPhone);
    await step("follows the system's theme and remembers another choice", hasTwoThemes);
    await step("can be used by keyboard, and every control has a name", worksByKeyboard);
    await step("shows a killed agent as lost within five seconds, and its return", showsALostAgent);
    await step("says that the manager is away, and goes on by itself when it is back", outlivesTheManager);
    await step("says how long a locked address has to wait", saysWhenLocked);
  } finally {
    await browser.close();
    await cluster.close();
    await Deno.remove(folder, { recursive: true });
  }
});
