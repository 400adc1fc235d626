/**
 * `task screenshot`: starts a cluster of three agents with the examples, keeps it busy until the charts have something
 * to show, lets some rollouts happen, and takes a picture of every page in both themes at desk and phone width into
 * docs/screenshots/, and the README's three into docs/. Needs Chromium. `task screenshot FOLDER SECONDS` writes elsewhere.
 */
import { join } from "node:path";
import { Buffer } from "node:buffer";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { DemoCluster } from "../examples/demo/cluster.ts";
import { programsFromSource } from "../examples/demo/programs.ts";
import { demoJobs, runJobs } from "../examples/demo/work.ts";
import { launchBrowser, openPage, signIn } from "../tests/support/browser.ts";
import { toPalettePng } from "./palette_png.ts";

const root = join(import.meta.dirname!, "..");
/** How long the cluster works before the pictures are taken; the charts show the last five minutes. */
const workMsDefault = 180_000;

const agents = [
  { name: "attic", labels: { zone: "attic" } },
  { name: "kitchen", labels: { zone: "attic" } },
  { name: "shed", labels: { zone: "shed" } },
];

const pages = [
  "overview",
  "agents",
  "agents/attic",
  "replicasets",
  "replicasets/greetings",
  "rollouts",
  "rollouts/greetings",
  "endpoints",
  "endpoints/images/thumbnail",
  "events",
  "logs/greetings",
];

interface Screen {
  name: string;
  /** Else what is on the screen: a phone's bar lies over its lower edge. */
  heightMax?: number;
  options: BrowserContextOptions;
}

const screens: Screen[] = [
  { name: "desk", heightMax: 1500, options: { viewport: { width: 1280, height: 860 } } },
  { name: "phone", options: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } },
];

const large = { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1.5 };
const readmePictures: { file: string; options: BrowserContextOptions }[] = [
  { file: "dashboard.png", options: { ...large, colorScheme: "light" } },
  { file: "dashboard_dark.png", options: { ...large, colorScheme: "dark" } },
  {
    file: "dashboard_phone.png",
    options: { ...screens[1].options, deviceScaleFactor: 2, colorScheme: "dark" },
  },
];

/** Requests a second, one after another: the curves get hills. */
const rates = [2, 3, 5, 7, 8, 6, 4, 3, 2, 4, 6, 4];
/** The machine is busy with the work. */
const deployMsMax = 120_000;
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
    const greeted = greet(cluster, signal);
    const work = Promise.all([runJobs(cluster.sqwish, some, { atOnce: rate, signal }), greeted]).catch(
      () => {},
    );
    running.add(work);
    work.then(() => running.delete(work));
    await pause(1000);
  }
  await Promise.all(running);
}

/** A bad revision fails some of them, which is what the pictures are to show. */
async function greet({ sqwish }: DemoCluster, signal: AbortSignal): Promise<void> {
  const some = Array.from({ length: 15 }, (_, n) => sqwish.invoke("greetings/greet", { n }, { signal }));
  await Promise.allSettled(some);
}

/** A good revision, a bad one that its answers undo, and one that is being tried with a share of the requests. */
async function rollOut(
  { sqwish }: DemoCluster,
  version: string,
  body: string,
  canary: boolean,
): Promise<void> {
  const source = `/** Greets. */\nexport function greet({ n }: { n: number }): string {\n  ${body}\n}\n`;
  const rollout = canary ? { strategy: "canary", steps: [{ weight: 25, holdMs: 600_000 }] } : undefined;
  await sqwish.call("POST", "/v1/replicasets", {
    replicaSet: { name: "greetings", version, replicas: 2, ...(rollout ? { rollout } : {}) },
    modules: [{ path: "greetings.ts", entry: true, base64: Buffer.from(source).toString("base64") }],
  }, { timeoutMs: deployMsMax });
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function open(browser: Browser, options: BrowserContextOptions, { manager }: DemoCluster) {
  const opened = await openPage(browser, options);
  await opened.page.goto(`${manager.url}/#/overview`);
  await signIn(opened.page, "admin", manager.adminPassword!);
  await opened.page.locator(".tile").first().waitFor();
  return opened;
}

async function shoot(page: Page, file: string, heightMax?: number): Promise<void> {
  // A few live seconds: the charts are loaded and the meters have come to rest.
  await page.waitForTimeout(3000);
  const { width, height } = page.viewportSize()!;
  if (heightMax !== undefined) {
    const wholePx = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height: Math.max(height, Math.min(wholePx, heightMax)) });
    // What has come into sight is drawn with the next second.
    await page.waitForTimeout(1500);
  }
  await Deno.writeFile(file, toPalettePng(await page.screenshot()));
  await page.setViewportSize({ width, height });
}

async function shootAll(browser: Browser, cluster: DemoCluster, folder: string): Promise<void> {
  const { rollouts } = (await cluster.sqwish.call("GET", "/v1/rollouts?replicaSet=greetings")).json as {
    rollouts: { state: string; startedAtMs: number }[];
  };
  const failed = rollouts.find(({ state }) => state === "failed") ?? rollouts[0];
  for (const colorScheme of ["light", "dark"] as const) {
    for (const { name, heightMax, options } of screens) {
      const { page, close } = await open(browser, { ...options, colorScheme }, cluster);
      for (const hash of pages) {
        const full = hash === "rollouts/greetings" ? `${hash}/${failed.startedAtMs}` : hash;
        await page.goto(`${cluster.manager.url}/#/${full}`);
        await shoot(page, join(folder, `${hash.replaceAll("/", "_")}_${colorScheme}_${name}.png`), heightMax);
      }
      await close();
      console.log(`${pages.length} pages, ${colorScheme}, ${name}`);
    }
  }
}

async function main(): Promise<void> {
  const [given, seconds] = Deno.args;
  const docs = given ?? join(root, "docs");
  const workMs = seconds === undefined ? workMsDefault : Number(seconds) * 1000;
  const folder = await Deno.makeTempDir({ prefix: "sqwish-screenshot-" });
  const browser = await launchBrowser();
  const done = new AbortController();
  let cluster: DemoCluster | undefined;
  try {
    await Deno.mkdir(join(docs, "screenshots"), { recursive: true });
    const configuration = join(root, "examples", "cluster.jsonc");
    cluster = await DemoCluster.start({ programs: programsFromSource(root), folder, configuration, agents });
    await cluster.ready();
    const work = keepBusy(cluster, done.signal);
    console.log(`working for ${workMs / 1000} s`);
    await rollOut(cluster, "1.0.0", "console.log(`greeting ${n}`); return `Hello ${n}`;", false);
    await pause(workMs / 2);
    await rollOut(
      cluster,
      "1.1.0",
      'if (n % 3 === 0) throw new Error("no dictionary"); return `Hi ${n}`;',
      false,
    );
    await pause(workMs / 4);
    await rollOut(
      cluster,
      "1.2.0",
      "console.log(`greeting ${n} for the day`); return `Good day ${n}`;",
      true,
    );
    await pause(workMs / 4);
    for (const { file, options } of readmePictures) {
      const { page, close } = await open(browser, options, cluster);
      await shoot(page, join(docs, file));
      await close();
    }
    await shootAll(browser, cluster, join(docs, "screenshots"));
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
