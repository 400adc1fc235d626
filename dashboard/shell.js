// @ts-check
/** The frame around every view: navigation with counts, the title, the time range, liveness, theme and sign-out. */
import { h, setAttribute, setText, setVisible } from "./dom.js";
import { ranges } from "./feed.js";
import { formatDuration, formatTime } from "./format.js";
import { icon, logo } from "./icons.js";
import { levelOf, linkTo } from "./parts.js";
import { isUnderWay } from "./rollout_facts.js";

/** @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView */

const views = [
  { name: "overview", title: "Overview" },
  { name: "agents", title: "Agents" },
  { name: "replicasets", title: "ReplicaSets" },
  { name: "rollouts", title: "Rollouts" },
  { name: "endpoints", title: "Endpoints" },
  { name: "events", title: "Events" },
  { name: "logs", title: "Logs", operators: true },
];

const pastWords =
  "What history does not hold is not recorded; figures of the last hour and logs are left out.";

/** Data older than this is not called live. */
const liveAgeMsMax = 3500;

/**
 * @param {object} options
 * @param {import("./api.js").Session} options.session
 * @param {import("./feed.js").Range} options.range
 * @param {(range: import("./feed.js").Range) => void} options.onRange
 * @param {() => void} options.onSignOut
 */
export function createShell({ session, range, onRange, onSignOut }) {
  const cluster = h("span", { class: "brand-cluster" });
  const version = h("span", { class: "dim" });
  const face = logo();
  const operates = session.role === "admin" || session.role === "operator";
  const links = views.filter((view) => operates || !view.operators)
    .map(({ name, title }) => createLink(name, title));
  const brand = h("a", { class: "brand", href: linkTo("overview") }, face, h("span", {}, "Sqwish"), cluster);
  const nav = h("nav", { "aria-label": "Views" }, ...links.map(({ element }) => element));
  const foot = createFoot(session, onSignOut);
  const side = h("header", { class: "side" }, brand, nav, h("div", { class: "side-space" }), foot, version);

  const title = h("h1");
  const actions = h("div", { class: "actions" });
  const live = createLiveMark();
  const rangePicker = createRangePicker(range, onRange);
  const bar = h("div", { class: "bar" }, title, live.element, actions, rangePicker.element);
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const past = createPastLine();
  const element = h("div", { class: "shell" }, side, h("div", { class: "page" }, bar, past.element, main));

  let hasCharts = false;
  let isPast = false;
  // The way back to now must be there on every page.
  const showPicker = () => setVisible(rangePicker.element, hasCharts || isPast);

  /** @param {{ view: string, title: string, name?: string, charts: boolean, actions?: HTMLElement }} route */
  function showRoute(route) {
    for (const link of links) {
      setAttribute(link.element, "aria-current", link.name === route.view ? "page" : null);
    }
    if (route.name === undefined) title.replaceChildren(route.title);
    else {
      const back = h("a", { class: "crumb", href: linkTo(route.view) }, icon("back"), route.title);
      title.replaceChildren(back, route.name);
    }
    actions.replaceChildren(...(route.actions ? [route.actions] : []));
    hasCharts = route.charts;
    showPicker();
  }

  return {
    element,
    main,
    showRoute,
    /** @param {import("./feed.js").Range} range */
    showRange(range) {
      rangePicker.show(range);
      isPast = range.toMs !== undefined;
      showPicker();
      setAttribute(element, "data-past", isPast);
      past.show(range);
    },
    /** @param {number | null} ageMs */
    showAge: live.update,
    /** @param {OverviewView} overview */
    update(overview) {
      const ready = overview.agents.filter(({ health }) => health === "ready").length;
      setText(cluster, overview.cluster.cluster);
      setText(version, `manager ${overview.cluster.version}`);
      setAttribute(face, "data-level", levelOf(overview.cluster.health));
      const counts = countsOf(overview);
      for (const link of links) setText(link.count, counts[link.name] ?? "");
      const mark = overview.cluster.health === "ok" ? "" : "⚠ ";
      document.title =
        `${mark}${overview.cluster.cluster} · ${ready}/${overview.agents.length} agents · Sqwish`;
    },
  };
}

/**
 * @param {import("./api.js").Session} session
 * @param {() => void} onSignOut
 */
function createFoot(session, onSignOut) {
  const role = session.name === session.role ? null : h("span", { class: "dim" }, ` ${session.role}`);
  const user = h("span", { class: "user" }, session.name, role);
  const out = h(
    "button",
    { class: "quiet", type: "button", title: "Sign out", on: { click: onSignOut } },
    icon("out"),
  );
  out.setAttribute("aria-label", "Sign out");
  return h("div", { class: "side-foot" }, user, createThemeButton(), out);
}

/** Says that what is on the page is over. */
function createPastLine() {
  const element = h("p", { class: "past", role: "status", hidden: true });
  return {
    element,
    /** @param {import("./feed.js").Range} range */
    show({ toMs, rangeMs }) {
      setVisible(element, toMs !== undefined);
      if (toMs === undefined) return;
      const [from, to] = [toMs - rangeMs, toMs].map((ms) => formatTime(ms, Date.now()));
      setText(element, `The past, not live: machines as at ${to}, rates over ${from} – ${to}. ${pastWords}`);
    },
  };
}

/** What stands beside the views' names. @param {OverviewView} overview @returns {Record<string, string>} */
function countsOf({ agents, replicaSets, endpoints }) {
  const ready = agents.filter(({ health }) => health === "ready").length;
  const moving = replicaSets.filter(({ rollout }) => isUnderWay(rollout)).length;
  return {
    agents: ready === agents.length ? `${ready}` : `${ready}/${agents.length}`,
    replicasets: String(replicaSets.length),
    rollouts: moving > 0 ? String(moving) : "",
    endpoints: String(endpoints.length),
  };
}

/**
 * @param {string} name
 * @param {string} title
 */
function createLink(name, title) {
  const count = h("span", { class: "nav-count" });
  const element = h("a", { href: linkTo(name) }, icon(name), h("span", { class: "nav-title" }, title), count);
  return { name, element, count };
}

function createLiveMark() {
  const text = h("span");
  const element = h("span", { class: "live", role: "status" }, h("span", { class: "dot" }), text);
  return {
    element,
    /** @param {number | null} ageMs null: nothing has arrived yet */
    update(ageMs) {
      const isLive = ageMs !== null && ageMs < liveAgeMsMax;
      setAttribute(element, "data-level", isLive ? "good" : ageMs === null ? "busy" : "warn");
      setText(
        text,
        isLive
          ? "live"
          : ageMs === null
          ? "connecting…"
          : `reconnecting… data is ${formatDuration(ageMs)} old`,
      );
    },
  };
}

/**
 * @param {import("./feed.js").Range} current
 * @param {(range: import("./feed.js").Range) => void} onRange
 */
function createRangePicker(current, onRange) {
  const inputs = ranges.map((range) => {
    const choose = () => onRange(range);
    const input = h("input", {
      type: "radio",
      name: "range",
      checked: range === current,
      on: { change: choose },
    });
    return { range, input, element: h("label", { title: range.title }, input, h("span", {}, range.label)) };
  });
  const words = h("span", { class: "zoom-words number" });
  const label = "Back to now";
  const reset = h(
    "button",
    { type: "button", class: "zoom", title: label, on: { click: () => onRange(ranges[0]) } },
    words,
    icon("close"),
  );
  reset.setAttribute("aria-label", label);
  const choices = inputs.map((choice) => choice.element);
  const segments = h("fieldset", { class: "segments", "aria-label": "Time range of the charts" }, ...choices);
  /** @param {import("./feed.js").Range} range */
  function show(range) {
    for (const choice of inputs) choice.input.checked = choice.range.label === range.label;
    setVisible(reset, range.toMs !== undefined);
    if (range.toMs === undefined) return;
    const [from, to] = [range.toMs - range.rangeMs, range.toMs].map((ms) => formatTime(ms, Date.now()));
    setText(words, `${from} – ${to}`);
  }
  show(current);
  return { element: h("div", { class: "range" }, reset, segments), show };
}

/** Steps through the system's theme, light and dark; the choice is kept in this browser. */
function createThemeButton() {
  const root = document.documentElement;
  const order = ["system", "light", "dark"];
  const button = h("button", { class: "quiet", type: "button", on: { click: step } });

  function step() {
    const next = order[(order.indexOf(root.dataset.theme ?? "system") + 1) % order.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("sqwish.theme", next);
    } catch {
      // Without storage the choice lasts until the page is closed.
    }
    dispatchEvent(new Event("sqwish-theme"));
    show();
  }

  function show() {
    const name = root.dataset.theme ?? "system";
    button.replaceChildren(icon(name));
    button.title = `Theme: ${name}`;
    button.setAttribute("aria-label", `Theme: ${name}`);
  }

  show();
  return button;
}
