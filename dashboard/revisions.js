// @ts-check
/** The kept revisions of a replicaSet as a table; operators go back to one from here. */
import { getRevisions } from "./api.js";
import { h, setText } from "./dom.js";
import { formatAge } from "./format.js";
import { createTable } from "./table.js";

/**
 * @typedef {import("./parts.js").App} App
 * @typedef {import("../lib/protocol/views.ts").RevisionView} RevisionView
 */

/**
 * @param {App} app
 * @param {string} name of the replicaSet
 * @param {{ whyNot(): string | undefined, goBack(revision: RevisionView): void }} may `whyNot`: why nobody can go back
 */
export function createRevisions(app, name, may) {
  const table = createTable({
    label: "Revisions",
    class: "revision-table",
    name: "sort.revisions",
    order: { key: "revision", down: true },
    columns: [
      {
        key: "revision",
        title: "Revision",
        by: (/** @type {RevisionView} */ { revision }) => revision,
        isNumber: true,
      },
      { key: "version", title: "Version", by: ({ version }) => version },
      { key: "createdAtMs", title: "Made", by: ({ createdAtMs }) => createdAtMs },
      { key: "createdBy", title: "By", by: ({ createdBy }) => createdBy },
      { key: "files", title: "Files", by: ({ modules }) => modules.length, isNumber: true },
      { key: "action", title: "" },
    ],
    keyOf: ({ revision }) => String(revision),
    createRow: (revision) => createRow(app, revision, may),
  });
  return {
    element: table.element,
    async load() {
      table.update(await getRevisions(name).catch(() => []));
    },
    close: table.close,
  };
}

/**
 * @param {App} app
 * @param {RevisionView} revision
 * @param {Parameters<typeof createRevisions>[2]} may
 */
function createRow(app, revision, { whyNot, goBack }) {
  const label = `Go back to revision ${revision.revision}`;
  const reason = whyNot();
  const about = { type: "button", "aria-label": label, disabled: reason !== undefined, title: reason };
  const button = h("button", { ...about, on: { click: () => goBack(revision) } }, "Go back");
  const badge = h("span", { class: "badge" }, "current");
  const failed = h("span", { class: "badge", title: revision.failure }, "failed");
  const [made, action] = [h("td"), h("td", { class: "action" })];
  return {
    element: h(
      "tr",
      {},
      h("th", { scope: "row", class: "number" }, `r${revision.revision}`),
      h("td", {}, revision.version),
      made,
      h("td", {}, revision.createdBy),
      h("td", { class: "number" }, String(revision.modules.length)),
      action,
    ),
    /** @param {RevisionView} now */
    update(now) {
      setText(made, formatAge(now.createdAtMs, app.feed.nowMs()));
      action.replaceChildren(
        ...(now.failure === undefined ? [] : [failed]),
        ...(now.current ? [badge] : app.may.operate ? [button] : []),
      );
    },
  };
}
