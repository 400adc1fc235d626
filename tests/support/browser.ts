/**
 * A real Chromium for the browser tests and for the screenshots. Says what to install when there is none: a test
 * that can't run must fail.
 */
import assert from "node:assert/strict";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { Cluster } from "./cluster.ts";

const places = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/snap/bin/chromium",
];

/** `CHROMIUM_BIN` names another one. Throws when there is no Chromium. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = Deno.env.get("CHROMIUM_BIN") ?? await firstThatExists(places);
  if (!executablePath) {
    throw new Error(
      `The browser tests need Chromium at one of ${
        places.join(", ")
      } or named by CHROMIUM_BIN, there is none; ` +
        "on Debian: apt-get install -y chromium",
    );
  }
  return await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

async function firstThatExists(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
}

/** What a page did that a good one does not. */
export interface Watched {
  page: Page;
  /** Uncaught errors, and errors and warnings on the console. */
  complaints: string[];
  /** Origins of all requests. */
  origins: Set<string>;
  close(): Promise<void>;
}

/** A page of its own, with its own cookies, in which everything suspicious is written down. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "blob:" && url.protocol !== "data:") origins.add(url.origin);
  });
  return { page, complaints, origins, close: () => context.close() };
}

/**
 * Pixels of a canvas that are not transparent, or those of a colour, counted on a copy, so that the page's own stays as
 * fast as it is. `colour` is a custom property of six hexadecimal digits, as `--p50`.
 */
export function drawnPixels(page: Page, selector: string, colour?: string): Promise<number> {
  return page.locator(selector).first().evaluate((node, colour) => {
    const { width, height } = node as HTMLCanvasElement;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    copy.drawImage(node as HTMLCanvasElement, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    const hex = colour && getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
    const wanted = hex ? [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) : [];
    let drawn = 0;
    for (let at = 0; at < data.length; at += 4) {
      const isWanted = wanted.every((value, channel) => Math.abs(data[at + channel] - value) < 8);
      if (data[at + 3] > 0 && isWanted) drawn++;
    }
    return drawn;
  }, colour);
}

/** Fills in the sign-in form and sends it. */
export async function signIn(page: Page, user: string, password: string): Promise<void> {
  await page.getByLabel("Name").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** A cluster and what looks at it. */
export interface BrowserRig {
  cluster: Cluster;
  browser: Browser;
}

export interface PageOptions extends BrowserContextOptions {
  /** The admin unless given. */
  user?: string;
  password?: string;
  /** The view, `#/overview` unless given. */
  hash?: string;
}

/** A page with a signed-in user on one view, and a check at its end that it was well-behaved. */
export async function withPage(
  { cluster, browser }: BrowserRig,
  options: PageOptions,
  use: (page: Page, watched: Watched) => Promise<void>,
): Promise<void> {
  const { user = "admin", password = cluster.adminPassword, hash = "#/overview", ...context } = options;
  const watched = await openPage(browser, context);
  try {
    await watched.page.goto(`${cluster.url}/${hash}`);
    await signIn(watched.page, user, password);
    await watched.page.locator(".shell").waitFor();
    await use(watched.page, watched);
    assert.deepEqual([...watched.origins], [cluster.url], "requests to other origins");
    assert.deepEqual(unexpected(watched.complaints), []);
  } finally {
    await watched.close();
  }
}

/** Chromium notes every refused request; the question whether someone is signed in is one by design. */
export function unexpected(complaints: readonly string[]): string[] {
  return complaints.filter((text) => !/status of 401 .*\/v1\/session\)/.test(text));
}
