// @ts-check
/** Questions before a change, and short notices after it. Native `<dialog>`: focus and Escape come with it. */
import { ApiError } from "./api.js";
import { h, setText, setVisible } from "./dom.js";

/**
 * Asks, then acts while the dialog shows what goes wrong; closed when done, or left open with what `act` shows.
 * @param {object} question
 * @param {string} question.title
 * @param {string} question.text
 * @param {string} question.confirm the button's word
 * @param {HTMLElement[]} [question.fields]
 * @param {(show: (...result: HTMLElement[]) => void) => Promise<string | null>} question.act resolves with the notice
 *   to show after closing; null when it has called `show` with a result that the person is to read
 */
export function ask({ title, text, confirm, fields = [], act }) {
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const yes = h("button", { class: "primary", type: "submit" }, confirm);
  const no = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
  const show = (/** @type {HTMLElement[]} */ ...result) => {
    form.replaceChildren(h("h2", {}, title), ...result, h("div", { class: "actions" }, no));
    setText(no, "Done");
  };
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    yes.disabled = true;
    setVisible(error, false);
    try {
      const notice = await act(show);
      if (notice === null) return;
      notify(notice);
      dialog.close();
    } catch (thrown) {
      setText(error, describe(thrown));
      setVisible(error, true);
    } finally {
      yes.disabled = false;
    }
  };
  const body = [
    h("h2", {}, title),
    h("p", {}, text),
    ...fields,
    error,
    h("div", { class: "actions" }, no, yes),
  ];
  const form = h("form", { on: { submit } }, ...body);
  const dialog = h("dialog", { class: "dialog", on: { close: () => dialog.remove() } }, form);
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * @param {unknown} thrown
 * @returns {string} a sentence
 */
export function describe(thrown) {
  if (!(thrown instanceof ApiError)) return String(thrown);
  return thrown.status === 403 ? `${thrown.message} (your role does not allow it)` : thrown.message;
}

/** A line at the lower edge that goes by itself. @param {string} text */
export function notify(text) {
  const notice = h("div", { class: "notice", role: "status" }, text);
  document.body.append(notice);
  setTimeout(() => notice.remove(), 4000);
}
