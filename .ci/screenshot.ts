/**
 * `task screenshot`: starts a cluster of three agents with the examples, keeps it busy until the charts have something
 * to show, and writes docs/dashboard.png, docs/dashboard_dark.png and docs/dashboard_phone.png. Needs Chromium.
 */
import { join } from "node:path";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { DemoCluster } from "../examples/demo/cluster.ts";
import { programsFromSource } from "../examples/demo/programs.ts";
import { demoJobs, runJobs } from "../examples/demo/work.ts";
import { launchBrowser, openPage, signIn } from "../tests/support/browser.ts";

const root = join(import.meta.dirname!, "..");
const docs = join(root, "docs");
/** How long the cluster works before the pictures are taken; the charts show the last five minutes. */
const workMs = 180_000;

const agents = [
  { name: "attic", labels: { zone: "attic" } },
  { name: "kitchen", labels: { zone: "attic" } },
  { name: "shed", labels: { zone: "shed" } },
];

interface Shot {
  file: string;
  hash: string;
  options: BrowserContextOptions;
}

const desktop = { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1.5 };
const shots: Shot[] = [
  { file: "dashboard.png", hash: "#/overview", options: { ...desktop, colorScheme: "light" } },
  { file: "dashboard_dark.png", hash: "#/overview", options: { ...desktop, colorScheme: "dark" } },
  {
    file: "dashboard_phone.png",
    hash: "#/overview",
    options: {
      viewport: { width: 390, height: 844 },
      deviceScaleFactor: 2,
      isMobile: true,
      colorScheme: "dark",
    },
  },
];

/** Requests a second, one after another: the curves get hills. */
const rates = [2, 3, 5, 7, 8, 6, 4, 3, 2, 4, 6, 4];
/** How long each rate lasts. */
const rateMs = 9000;

/** Sends the demo's work at gentle rates until aborted. */
async function keepBusy(cluster: DemoCluster, signal: AbortSignal): Promise<void> {
  const jobs = await demoJobs();
  const running = new Set<Promise<unknown>>();
  let sent = 0;
  const startedMs = performance.now();
  while (!signal.aborted) {
    const rate = rates[Math.floor((performance.now() - startedMs) / rateMs) % rates.length];
    const some = Array.from({ length: rate }, () => jobs[sent++ % jobs.length]);
    // Work that is under way when the pictures are done ends with a rejection.
    const work = runJobs(cluster.sqwish, some, { atOnce: rate, signal }).catch(() => {});
    running.add(work);
    work.then(() => running.delete(work));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await Promise.all(running);
}

async function take(browser: Browser, url: string, password: string, shot: Shot): Promise<void> {
  const { page, close } = await openPage(browser, shot.options);
  await page.goto(`${url}/${shot.hash}`);
  await signIn(page, "admin", password);
  await page.locator(".tile").first().waitFor();
  // A few live seconds: the charts are loaded and the meters have come to rest.
  await page.waitForTimeout(4000);
  await page.screenshot({ path: join(docs, shot.file) });
  await close();
  console.log(`docs/${shot.file}`);
}

async function main(): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-screenshot-" });
  const browser = await launchBrowser();
  const done = new AbortController();
  let cluster: DemoCluster | undefined;
  try {
    const configuration = join(root, "examples", "cluster.jsonc");
    cluster = await DemoCluster.start({ programs: programsFromSource(root), folder, configuration, agents });
    await cluster.ready();
    const work = keepBusy(cluster, done.signal);
    console.log(`working for ${workMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, workMs));
    const { url, adminPassword } = cluster.manager;
    for (const shot of shots) await take(browser, url, adminPassword!, shot);
    done.abort();
    await work;
  } finally {
    done.abort();
    await browser.close();
    await cluster?.close();
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
