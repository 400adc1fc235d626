// @ts-check
/** The try-out box: JSON or a file in, the reply (JSON, text, picture, bytes or a stream) and where the time went out. */
import { ApiError, send } from "./api.js";
import { describe } from "./dialogs.js";
import { h, setText, setVisible } from "./dom.js";
import { formatBytes, formatMs } from "./format.js";

/** @typedef {import("../lib/protocol/views.ts").EndpointView} EndpointView */

/** More than this of a text reply is cut, because a page with megabytes of text stops scrolling. */
const shownCharactersMax = 100_000;

/** @param {EndpointView} view */
export function createTryOut(view) {
  const input = h("textarea", { id: "try-input", rows: 7, spellcheck: "false", autocomplete: "off" });
  input.value = JSON.stringify(exampleOf(view.input), null, 2) ?? "null";
  const file = h("input", { id: "try-file", type: "file" });
  const timeout = h("input", { id: "try-timeout", type: "number", min: 1, max: 3600, value: 30 });
  const run = h("button", { class: "primary", type: "submit" }, "Invoke");
  const stop = h("button", { type: "button", on: { click: () => aborter?.abort() }, hidden: true }, "Cancel");
  const timing = h("p", { class: "timing dim", role: "status" });
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const output = h("pre", { class: "output", tabindex: 0, "aria-label": "Reply" });
  const picture = h("img", { class: "picture", alt: "The reply as a picture", hidden: true });
  const download = h(
    "a",
    { class: "download", download: `${view.name}.bin`, hidden: true },
    "Save the bytes",
  );
  /** @type {AbortController | null} */
  let aborter = null;
  let blobUrl = "";

  function clear() {
    for (const node of [error, picture, download]) setVisible(node, false);
    URL.revokeObjectURL(blobUrl);
    setText(output, "");
    setText(timing, "");
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  function showBytes(bytes) {
    const type = pictureType(bytes);
    blobUrl = URL.createObjectURL(new Blob([bytes], { type: type ?? "application/octet-stream" }));
    picture.src = type ? blobUrl : "";
    setVisible(picture, type !== null);
    download.href = blobUrl;
    setVisible(download, true);
    setText(output, `${formatBytes(bytes.length)} of ${type ?? "bytes"}`);
  }

  async function invoke() {
    const startedAt = performance.now();
    const chosen = file.files?.[0];
    if (!chosen) JSON.parse(input.value);
    const response = await send(`/v1/invoke/${view.endpoint.split("/").map(encodeURIComponent).join("/")}`, {
      method: "POST",
      signal: aborter?.signal,
      headers: {
        "content-type": chosen ? "application/octet-stream" : "application/json",
        "sqwish-timeout-ms": String(Math.round(Number(timeout.value) * 1000)),
        accept: view.stream ? "text/event-stream" : "application/json, application/octet-stream",
      },
      body: chosen ?? input.value,
    });
    await showReply(response, { output, showBytes });
    const answered = `answered after ${formatMs(performance.now() - startedAt)}`;
    setText(timing, [answered, ...timingWords(response.headers.get("sqwish-timing"))].join(" · "));
  }

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    clear();
    aborter = new AbortController();
    run.disabled = true;
    setVisible(stop, true);
    try {
      await invoke();
    } catch (thrown) {
      setText(error, explain(thrown));
      setVisible(error, true);
    } finally {
      run.disabled = false;
      setVisible(stop, false);
    }
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  const bytesField = h("div", {}, h("label", { for: "try-file" }, "or a file's bytes"), file);
  const timeField = h("div", {}, h("label", { for: "try-timeout" }, "Timeout, seconds"), timeout);
  const fields = h("div", { class: "try-fields" }, bytesField, timeField);
  const left = h("div", {}, h("label", { for: "try-input" }, "Input, JSON"), input, fields);
  left.append(h("div", { class: "actions" }, run, stop));
  const right = h("div", { class: "try-reply" }, timing, error, output, picture, download);
  const form = h("form", { class: "try-out", on: { submit, keydown } }, left, right);
  return {
    element: h("section", { class: "card panel", "aria-label": "Try it" }, h("h3", {}, "Try it"), form),
    close() {
      aborter?.abort();
      URL.revokeObjectURL(blobUrl);
    },
  };
}

/** @param {unknown} thrown */
function explain(thrown) {
  if (thrown instanceof SyntaxError) return `The input must be JSON: ${thrown.message}`;
  if (/** @type {Error} */ (thrown).name === "AbortError") return "Cancelled";
  return thrown instanceof ApiError ? `${thrown.code}: ${thrown.message}` : describe(thrown);
}

/**
 * @param {Response} response
 * @param {{ output: HTMLElement, showBytes(bytes: Uint8Array<ArrayBuffer>): void }} to
 */
async function showReply(response, { output, showBytes }) {
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) return showStream(response, output);
  if (type.includes("json")) {
    const text = await response.text();
    setText(output, cut(JSON.stringify(JSON.parse(text), null, 2)));
  } else if (type.startsWith("text/")) setText(output, cut(await response.text()));
  else showBytes(new Uint8Array(await response.arrayBuffer()));
}

/**
 * Appends each part as it comes (server-sent events, WHATWG HTML section 9.2.6).
 * @param {Response} response
 * @param {HTMLElement} output
 */
async function showStream(response, output) {
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body)
    .pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r", "");
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) showPart(block, output);
  }
}

/**
 * @param {string} block one event
 * @param {HTMLElement} output
 */
function showPart(block, output) {
  const lines = block.split("\n");
  const field = (/** @type {string} */ name) =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) =>
      line.slice(name.length + 1).replace(/^ /, "")
    );
  const data = field("data").join("\n");
  if (data === "") return;
  if (field("event")[0] === "error") {
    const { error } = JSON.parse(data);
    throw new ApiError(200, error.code, error.message);
  }
  const isBytes = field("event")[0] === "bytes";
  output.append(isBytes ? `(${formatBytes(atob(data).length)})\n` : `${cut(data)}\n`);
}

/** @param {string} text */
function cut(text) {
  if (text.length <= shownCharactersMax) return text;
  return `${text.slice(0, shownCharactersMax)}\n… (${text.length - shownCharactersMax} more characters)`;
}

/**
 * @param {string | null} header `queue=0.3, run=12.1, total=13`, in ms
 * @returns {string[]} e.g. `queue 0.3 ms`
 */
export function timingWords(header) {
  const pairs = (header ?? "").matchAll(/([a-z]+)(?:Ms)?\s*[=:]\s*([\d.]+)/g);
  return [...pairs].map(([, name, ms]) => `${name} ${formatMs(Number(ms))}`);
}

/**
 * By its first bytes, so that an endpoint which answers with a picture shows one.
 * @param {Uint8Array} bytes
 */
export function pictureType(bytes) {
  const starts = (/** @type {number[]} */ ...first) => first.every((byte, index) => bytes[index] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (starts(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (starts(0x47, 0x49, 0x46, 0x38)) return "image/gif";
  return null;
}

/**
 * An input to start from, made of a JSON Schema's defaults, examples and types.
 * @param {any} schema
 * @returns {unknown}
 */
export function exampleOf(schema) {
  if (!schema) return {};
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case "string":
      return "";
    case "number":
    case "integer":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    case "array":
      return schema.items && (schema.minItems ?? 0) > 0 ? [exampleOf(schema.items)] : [];
    case "null":
      return null;
    default:
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, property]) => [name, exampleOf(property)]),
      );
  }
}
