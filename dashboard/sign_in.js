// @ts-check
/** The sign-in page: a name, a password, and in words why it did not work. */
import { ApiError, signIn } from "./api.js";
import { h, setText, setVisible } from "./dom.js";
import { formatDuration } from "./format.js";
import { logo } from "./icons.js";

/**
 * @param {{ notice?: string, onSignedIn(session: import("./api.js").Session): void }} options
 * @returns {HTMLElement}
 */
export function createSignIn({ notice, onSignedIn }) {
  const user = h("input", {
    id: "user",
    name: "user",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    value: "admin",
  });
  const password = h("input", {
    id: "password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    button.disabled = true;
    setVisible(error, false);
    try {
      onSignedIn(await signIn(user.value.trim(), password.value));
    } catch (thrown) {
      setText(error, explain(thrown));
      setVisible(error, true);
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  };
  const form = h(
    "form",
    { class: "card sign-in", on: { submit } },
    h("div", { class: "brand" }, logo(), h("h1", {}, "Sqwish")),
    notice && h("p", { class: "dim" }, notice),
    h("label", { for: "user" }, "Name"),
    user,
    h("label", { for: "password" }, "Password"),
    password,
    error,
    button,
    h("p", { class: "hint" }, "The manager printed the admin password when it started for the first time."),
  );
  queueMicrotask(() => password.focus());
  return h("main", { class: "sign-in-page" }, form);
}

/** @param {unknown} thrown */
function explain(thrown) {
  if (!(thrown instanceof ApiError)) return String(thrown);
  if (thrown.status === 429 || thrown.retryAfterSeconds !== null) {
    const wait = thrown.retryAfterSeconds === null
      ? "a minute"
      : formatDuration(thrown.retryAfterSeconds * 1000);
    return `Too many failed attempts from this address. Try again in ${wait}.`;
  }
  if (thrown.status === 401) return "That name and password don't match. Check both and try again.";
  return thrown.message;
}
