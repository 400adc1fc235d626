/**
 * The dashboard's files, embedded in the manager: its HTTP routes → here → the browser, which then asks the API
 * for data. Files need no sign-in, data does. Invariant: nothing here comes from another origin, and no page may
 * run script or style that is not one of these files.
 */
import { createHash } from "node:crypto";
import { Hono } from "hono";
import html from "./index.html" with { type: "text" };
import favicon from "./favicon.svg" with { type: "text" };
import detailsStyle from "./details.css" with { type: "text" };
import foldStyle from "./fold.css" with { type: "text" };
import frameStyle from "./frame.css" with { type: "text" };
import style from "./style.css" with { type: "text" };
import viewsStyle from "./views.css" with { type: "text" };
import theme from "./theme.js" with { type: "text" };
import page from "./page.js" with { type: "text" };
import agents from "./agents.js" with { type: "text" };
import api from "./api.js" with { type: "text" };
import charts from "./charts.js" with { type: "text" };
import colours from "./colours.js" with { type: "text" };
import dialogs from "./dialogs.js" with { type: "text" };
import dom from "./dom.js" with { type: "text" };
import endpoints from "./endpoints.js" with { type: "text" };
import events from "./events.js" with { type: "text" };
import feed from "./feed.js" with { type: "text" };
import format from "./format.js" with { type: "text" };
import history from "./history.js" with { type: "text" };
import icons from "./icons.js" with { type: "text" };
import later from "./later.js" with { type: "text" };
import live from "./live.js" with { type: "text" };
import logs from "./logs.js" with { type: "text" };
import marks from "./marks.js" with { type: "text" };
import overview from "./overview.js" with { type: "text" };
import parts from "./parts.js" with { type: "text" };
import replicaSets from "./replicasets.js" with { type: "text" };
import requests from "./requests.js" with { type: "text" };
import shell from "./shell.js" with { type: "text" };
import signIn from "./sign_in.js" with { type: "text" };
import sparkline from "./sparkline.js" with { type: "text" };
import tryOut from "./try_out.js" with { type: "text" };
import address from "./address.js" with { type: "text" };
import agentDialogs from "./agent_dialogs.js" with { type: "text" };
import agentOrder from "./agent_order.js" with { type: "text" };
import managerCard from "./manager_card.js" with { type: "text" };
import order from "./order.js" with { type: "text" };
import past from "./past.js" with { type: "text" };
import pastFeed from "./past_feed.js" with { type: "text" };
import placements from "./placements.js" with { type: "text" };
import revisions from "./revisions.js" with { type: "text" };
import rollout from "./rollout.js" with { type: "text" };
import rolloutFacts from "./rollout_facts.js" with { type: "text" };
import rollouts from "./rollouts.js" with { type: "text" };
import table from "./table.js" with { type: "text" };
import tiles from "./tiles.js" with { type: "text" };
import uplotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };

const contentTypes: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const texts: Record<string, string> = {
  "index.html": html,
  "favicon.svg": favicon,
  "style.css": style,
  "frame.css": frameStyle,
  "views.css": viewsStyle,
  "details.css": detailsStyle,
  "fold.css": foldStyle,
  "theme.js": theme,
  "page.js": page,
  "agents.js": agents,
  "api.js": api,
  "charts.js": charts,
  "colours.js": colours,
  "dialogs.js": dialogs,
  "dom.js": dom,
  "endpoints.js": endpoints,
  "events.js": events,
  "feed.js": feed,
  "format.js": format,
  "history.js": history,
  "icons.js": icons,
  "later.js": later,
  "live.js": live,
  "logs.js": logs,
  "marks.js": marks,
  "overview.js": overview,
  "parts.js": parts,
  "replicasets.js": replicaSets,
  "requests.js": requests,
  "shell.js": shell,
  "sign_in.js": signIn,
  "sparkline.js": sparkline,
  "try_out.js": tryOut,
  "address.js": address,
  "agent_dialogs.js": agentDialogs,
  "agent_order.js": agentOrder,
  "manager_card.js": managerCard,
  "order.js": order,
  "past.js": past,
  "past_feed.js": pastFeed,
  "placements.js": placements,
  "rollout.js": rollout,
  "revisions.js": revisions,
  "rollout_facts.js": rolloutFacts,
  "rollouts.js": rollouts,
  "table.js": table,
  "tiles.js": tiles,
  "uplot.js": uplotScript,
  "uplot.css": uplotStyle,
};

/**
 * No Strict-Transport-Security: the cluster signs its own certificate, and a browser that has seen that header
 * no longer lets anyone accept one. `blob:` is for showing an image that an endpoint answered with.
 */
const securityHeaders: Record<string, string> = {
  "content-security-policy":
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob:; " +
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
};

interface Asset {
  contentType: string;
  etag: string;
  plain: Uint8Array<ArrayBuffer>;
  /** Compressed once, by the first browser that asks for it. */
  gzip: Promise<Uint8Array<ArrayBuffer>> | null;
}

/** The dashboard as a sub-application for the manager to mount at "/". It holds no connections and needs no closing. */
export function createDashboard(): Hono {
  const app = new Hono();
  for (const [name, text] of Object.entries(texts)) {
    const asset = createAsset(name, text);
    app.get(name === "index.html" ? "/" : `/${name}`, (context) => answer(context.req.raw.headers, asset));
  }
  return app;
}

function createAsset(name: string, text: string): Asset {
  const plain = new TextEncoder().encode(text);
  const digest = createHash("sha256").update(plain).digest("base64url").slice(0, 22);
  const contentType = contentTypes[name.slice(name.lastIndexOf(".") + 1)];
  return { contentType, etag: `"${digest}"`, plain, gzip: null };
}

/** `no-cache` means "ask each time": an upgraded manager is seen at the next load, at the price of a 304. */
async function answer(request: Headers, asset: Asset): Promise<Response> {
  const headers = new Headers(securityHeaders);
  headers.set("content-type", asset.contentType);
  headers.set("cache-control", "no-cache");
  headers.set("vary", "accept-encoding");
  headers.set("etag", asset.etag);
  if (namesTag(request.get("if-none-match"), asset.etag)) return new Response(null, { status: 304, headers });
  if (!acceptsGzip(request.get("accept-encoding"))) return new Response(asset.plain, { headers });
  asset.gzip ??= compress(asset.plain);
  headers.set("content-encoding", "gzip");
  return new Response(await asset.gzip, { headers });
}

/** RFC 9110, section 13.1.2: a list of tags compared weakly, or "*". */
function namesTag(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((part) => part.trim() === "*" || part.trim().replace(/^W\//, "") === etag);
}

/** RFC 9110, section 12.5.3: gzip is listed (or "*") and not weighted zero. */
function acceptsGzip(header: string | null): boolean {
  return (header ?? "").split(",").some((part) => {
    const [coding, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    return (coding === "gzip" || coding === "*") && !parameters.some((text) => /^q=0(\.0*)?$/.test(text));
  });
}

async function compress(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
