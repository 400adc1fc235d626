/**
 * Looking back and looking closer, in a real Chromium on a real cluster: a time dragged over, marks of what happened,
 * the log by its filters, where requests' time went, what each role is shown, and an agent that dies meanwhile.
 */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { type BrowserRig, launchBrowser, withPage } from "../support/browser.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const moduleText = `
export async function work(input: { ms: number }, ctx: { log: { warn(text: string): void } }) {
  await new Promise((resolve) => setTimeout(resolve, input.ms));
  if (input.ms > 100) ctx.log.warn("that took long");
  console.log("worked " + input.ms);
  return input.ms;
}
export function fail() {
  throw new Error("no dictionary");
}
`;

const configuration = `{
  "cluster": "attic",
  "replicaSets": [{ "name": "hello", "version": "1.0.0", "modules": ["./hello.ts"], "replicas": "all" }]
}`;

async function invoke(cluster: Cluster, name: string, input: unknown): Promise<void> {
  await cluster.http(`/v1/invoke/hello/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(input),
  });
}

async function zooms(rig: BrowserRig): Promise<void> {
  await withPage(rig, {}, async (page) => {
    const plot = page.locator('figure[aria-label="Requests"] .u-over');
    await plot.waitFor();
    const box = (await plot.boundingBox())!;
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.02, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.95, y, { steps: 5 });
    await page.mouse.up();
    await page.getByRole("button", { name: "Back to now" }).waitFor();
    assert.match(page.url(), /from=\d+&to=\d+/);
    await page.getByText("Events of this time").waitFor();
    // What was found can be sent to another.
    await page.reload();
    await page.getByRole("button", { name: "Back to now" }).waitFor();
    await page.getByRole("button", { name: "Back to now" }).click();
    await eventually("it shows now again", () => page.url().includes("range=5m"));
    await page.getByRole("button", { name: "Back to now" }).waitFor({ state: "hidden" });
  });
}

/** The log is asked for anew after each change of a filter: until then it shows the old lines. */
async function logShows(page: Page, text: string, not: string): Promise<void> {
  const log = page.locator(".log");
  await eventually(
    `a log of "${text}" without "${not}"`,
    async () => await log.getByText(text).count() > 0 && await log.getByText(not).count() === 0,
  );
}

async function readsLogs(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/logs/hello?level=warn" }, async (page) => {
    await logShows(page, "that took long", "worked");
    await page.getByLabel("Level").selectOption("");
    await page.locator(".log").getByText("worked 5", { exact: true }).first().waitFor();
    await page.getByLabel("Words").fill("LONG");
    await page.getByLabel("Words").press("Enter");
    await logShows(page, "that took long", "worked");
    // What was found can be sent to another.
    await page.reload();
    await logShows(page, "that took long", "worked");
    assert.equal(await page.getByLabel("Words").inputValue(), "LONG");
  });
}

async function tellsRequests(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/endpoints/hello/work" }, async (page) => {
    const slowest = page.locator("section", { hasText: "Slowest of the last hour" }).locator("tbody tr")
      .first();
    // It waits for 150 ms; a busy machine takes longer.
    await slowest.getByText(/run (1[5-9]\d|[2-9]\d\d) ms|run \d+\.\d+ s/).waitFor();
    await page.getByText(/^\d+ of [1-9]\d* slots? in use, adaptive$/).first().waitFor();
    await slowest.getByRole("link", { name: /^[\da-f]{16}$/ }).click();
    await logShows(page, "worked 150", "worked 5");
    assert.equal(await page.locator(".log").getByText("worked 150").count(), 1, "only that request's");
    await page.goto(`${rig.cluster.url}/#/endpoints/hello/fail`);
    await page.locator("tbody tr", { hasText: "module failed" }).getByText("no dictionary").first().waitFor();
  });
}

async function showsByRole(rig: BrowserRig): Promise<void> {
  for (const role of ["viewer", "operator"] as const) {
    const password = `${role}-password`;
    const made = await rig.cluster.http("/v1/users", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: `a-${role}`, role, password }),
    });
    assert.ok(made.status < 300, made.text);
    await withPage(rig, { user: `a-${role}`, password, hash: "#/agents/agent-1" }, async (page) => {
      await page.locator(".facts").getByText("Last heard").waitFor();
      const [cordon, logs] = [
        page.getByRole("button", { name: "Cordon" }).first(),
        page.getByRole("link", { name: "Logs" }).first(),
      ];
      if (role === "operator") {
        await cordon.waitFor();
        await logs.waitFor();
      } else {
        assert.deepEqual([await cordon.count(), await logs.count()], [0, 0]);
      }
    });
  }
}

async function seesAnAgentDie(rig: BrowserRig): Promise<void> {
  await withPage(rig, { hash: "#/agents" }, async (page) => {
    await page.locator(".agent[data-health=ready]", { hasText: "agent-2" }).waitFor();
    rig.cluster.agents.get("agent-2")!.signal("SIGKILL");
    await page.locator(".agent[data-health=lost]", { hasText: "agent-2" }).waitFor();
    await page.goto(`${rig.cluster.url}/#/events`);
    await page.locator(".event[data-level=warn]", { hasText: "agent-2 is lost" }).first().waitFor();
  });
}

/** With SQWISH_SCREENSHOTS=FOLDER the pictures are kept, for a look at them. */
async function shoots(rig: BrowserRig, folder: string | undefined): Promise<void> {
  const { rollouts: [rollout] } = JSON.parse((await rig.cluster.http("/v1/rollouts?replicaSet=hello")).text);
  const hashes = [
    "overview",
    "agents",
    "agents/agent-1",
    "replicasets/hello",
    "rollouts",
    `rollouts/hello/${rollout.startedAtMs}`,
    "endpoints",
    "endpoints/hello/work",
    "events",
    "logs/hello",
  ];
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1280, 390]) {
      await withPage(rig, { colorScheme, viewport: { width, height: 860 } }, async (page) => {
        for (const hash of hashes) {
          await page.goto(`${rig.cluster.url}/#/${hash}`);
          await page.locator("main > div").waitFor();
          const overflow = await page.evaluate(() =>
            document.documentElement.scrollWidth - document.documentElement.clientWidth
          );
          assert.ok(overflow <= 0, `${hash} at ${width} px is ${overflow} px too wide`);
          if (folder) {
            await page.screenshot({
              path: `${folder}/${hash.replaceAll("/", "_")}_${colorScheme}_${width}.png`,
            });
          }
        }
      });
    }
  }
}

Deno.test("the past and the details, in Chromium", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-seeing-" });
  await Deno.writeTextFile(`${folder}/hello.ts`, moduleText);
  const browser = await launchBrowser();
  const cluster = await startCluster({ agents: 2, configuration, folder });
  const rig = { cluster, browser };
  try {
    for (const ms of [5, 150, 5, 5]) await invoke(cluster, "work", { ms });
    await invoke(cluster, "fail", null);
    await t.step(
      "dragging over a chart shows that time, everywhere, and its address can be sent",
      () => zooms(rig),
    );
    await t.step("the log is read by level and by words", () => readsLogs(rig));
    await t.step(
      "a slow request tells where its time went and leads to what it printed",
      () => tellsRequests(rig),
    );
    await t.step("each role is offered what it may do", () => showsByRole(rig));
    const shots = Deno.env.get("SQWISH_SCREENSHOTS");
    await t.step(
      "every page fits its screen, in both themes, also a phone's",
      () => shoots(rig, shots),
    );
    await t.step("an agent that dies is seen dying", () => seesAnAgentDie(rig));
  } finally {
    await browser.close();
    await cluster.close();
    await Deno.remove(folder, { recursive: true });
  }
});
