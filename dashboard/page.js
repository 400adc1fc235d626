// @ts-check
/**
 * The dashboard's start: who is signed in → the frame → the view that the address names → each second's overview.
 * Only the view on screen is updated, and none while the page is hidden.
 */
import { addressValue, setAddressValues } from "./address.js";
import { createAgent, createAgents } from "./agents.js";
import { getSession, signOut } from "./api.js";
import { createPalette } from "./colours.js";
import { createEndpoint, createEndpoints } from "./endpoints.js";
import { createEvents } from "./events.js";
import { createFeed, ranges, zoomMsMin, zoomRange } from "./feed.js";
import { createLogsPage } from "./logs.js";
import { openLive } from "./live.js";
import { createOverview } from "./overview.js";
import { createPast } from "./past_feed.js";
import { createReplicaSets } from "./replicasets.js";
import { createRollout } from "./rollout.js";
import { createRollouts } from "./rollouts.js";
import { createShell } from "./shell.js";
import { createSignIn } from "./sign_in.js";
import { h } from "./dom.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("./parts.js").View} View
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 */

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const rangeKey = "sqwish.range";

/** @type {Record<string, { title: string, all(app: App): View, one?(app: App, name: string): View, charts: boolean }>} */
const views = {
  overview: { title: "Overview", all: createOverview, charts: true },
  agents: { title: "Agents", all: createAgents, one: createAgent, charts: true },
  replicasets: {
    title: "ReplicaSets",
    all: (app) => createReplicaSets(app),
    one: createReplicaSets,
    charts: false,
  },
  rollouts: { title: "Rollouts", all: createRollouts, one: createRollout, charts: false },
  endpoints: { title: "Endpoints", all: createEndpoints, one: createEndpoint, charts: true },
  logs: {
    title: "Logs",
    all: (app) => createLogsPage(app),
    one: createLogsPage,
    charts: false,
  },
  events: { title: "Events", all: createEvents, charts: false },
};

/** @param {string} hash `#/agents/pi-1` @returns {{ view: string, name?: string }} */
function parseRoute(hash) {
  const [view = "", ...rest] = hash.replace(/^#\/?/, "").replace(/\?.*$/, "").split("/").map(decode);
  if (!Object.hasOwn(views, view)) return { view: "overview" };
  return rest.length > 0 && views[view].one ? { view, name: rest.join("/") } : { view };
}

/** @param {string} text a hand-typed address may hold a lone "%" */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {string} [notice] */
function showSignIn(notice) {
  document.title = "Sign in · Sqwish";
  root.replaceChildren(createSignIn({ notice, onSignedIn: showCluster }));
}

/** @param {import("./api.js").Session} session */
function showCluster(session) {
  const feed = createFeed((range) => setRange(range));
  feed.setRange(linkedRange() ?? storedRange());
  const operate = session.role === "admin" || session.role === "operator";
  /** @type {App} */
  const app = {
    session,
    feed,
    palette: createPalette(),
    may: { operate, invoke: (endpoint) => operate || isListed(session.endpoints ?? [], endpoint) },
  };
  const shell = createShell({ session, range: feed.range(), onRange: setRange, onSignOut: leave });
  const past = createPast(() => update());
  /** @type {OverviewView | null} */
  let overview = null;
  /** @type {View | null} */
  let view = null;

  /** @param {import("./feed.js").Range} range */
  function setRange(range) {
    // A time that was looked at once is no habit.
    if (range.toMs === undefined) localStorage.setItem(rangeKey, range.label);
    feed.setRange(range);
    shell.showRange(range);
    linkRange(range);
    update();
  }

  function showRoute() {
    const linked = linkedRange();
    if (linked) setRange(linked);
    else if (feed.isPast()) linkRange(feed.range());
    const route = parseRoute(location.hash);
    const { title, all, one, charts } = views[route.view];
    view?.close();
    view = one && route.name !== undefined ? one(app, route.name) : all(app);
    shell.showRoute({
      view: route.view,
      title,
      name: route.name === undefined ? undefined : view.title ?? route.name,
      charts: charts || (route.name !== undefined && route.view !== "logs"),
      actions: view.actions,
    });
    shell.main.replaceChildren(view.element);
    scrollTo(0, 0);
    update();
  }

  function update() {
    if (!overview || document.hidden) return;
    shell.update(overview);
    if (!feed.isPast()) return view?.update(overview);
    const { fromMs, toMs } = feed.span();
    const then = past.describe(overview, fromMs, toMs);
    // Until it is known, what is on screen stays rather than the present in its place.
    if (then) view?.update(then);
  }

  /** @param {OverviewView} next */
  function receive(next) {
    app.palette.assign("agent", next.agents.map(({ name }) => name));
    app.palette.assign("replicaSet", next.replicaSets.map(({ name }) => name));
    app.palette.assign("endpoint", next.endpoints.map(({ endpoint }) => endpoint));
    overview = next;
    feed.observe(next);
    if (view) update();
    else showRoute();
    shell.showAge(live.ageMs());
  }

  async function mayRetry() {
    if (await getSession()) return true;
    close();
    showSignIn("Your session has ended. Sign in again to go on.");
    return false;
  }

  function close() {
    live.close();
    clearInterval(ageTimer);
    removeEventListener("hashchange", showRoute);
    document.removeEventListener("visibilitychange", update);
    view?.close();
  }

  async function leave() {
    close();
    await signOut().catch(() => {});
    showSignIn();
  }

  root.replaceChildren(shell.element);
  shell.showRoute({ view: "overview", title: "", charts: false });
  shell.main.append(h("p", { class: "loading dim" }, "Waiting for the manager…"));
  addEventListener("hashchange", showRoute);
  document.addEventListener("visibilitychange", update);
  const live = openLive({ onOverview: receive, mayRetry });
  const ageTimer = setInterval(() => shell.showAge(live.ageMs()), 1000);
  shell.showAge(null);
}

/**
 * @param {string[]} patterns of a client user: `*`, `images/*`, `images/resize`
 * @param {string} endpoint
 */
function isListed(patterns, endpoint) {
  return patterns.some((pattern) =>
    pattern === "*" || pattern === endpoint ||
    (pattern.endsWith("/*") && endpoint.startsWith(pattern.slice(0, -1)))
  );
}

/** The time that the address names, so that what one sees can be sent to another: `?range=24h`, `?from=MS&to=MS`. */
function linkedRange() {
  const [fromMs, toMs] = [Number(addressValue("from")), Number(addressValue("to"))];
  if (toMs - fromMs >= zoomMsMin) return zoomRange(fromMs, toMs);
  return ranges.find((range) => range.label === addressValue("range")) ?? null;
}

/** @param {import("./feed.js").Range} range */
function linkRange({ toMs, rangeMs, label }) {
  if (toMs === undefined) return setAddressValues({ range: label, from: null, to: null });
  const [from, to] = [toMs - rangeMs, toMs].map((ms) => String(Math.round(ms)));
  setAddressValues({ range: null, from, to });
}

function storedRange() {
  const label = localStorage.getItem(rangeKey);
  return ranges.find((range) => range.label === label) ?? ranges[0];
}

async function start() {
  try {
    const session = await getSession();
    if (session) showCluster(session);
    else showSignIn();
  } catch (thrown) {
    showSignIn(/** @type {Error} */ (thrown).message);
  }
}

start();
