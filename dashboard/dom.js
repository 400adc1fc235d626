// @ts-check
/**
 * The few things the page needs from the DOM. Every word that comes from the cluster goes through here as a
 * text node, never as markup, so that no name or message can become code.
 */

/**
 * @typedef {string | number | Node | null | undefined | false} Child
 * @typedef {Record<string, unknown> & { class?: string, on?: Record<string, (event: any) => void> }} Properties
 */

/**
 * An HTML element. `on` adds listeners, `true` sets an empty attribute, `false`, null and undefined leave it out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  apply(node, properties);
  node.append(...present(children));
  return node;
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Properties} [properties]
 * @param {Child[]} children
 */
export function svg(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(node, properties);
  node.append(...present(children));
  return node;
}

/**
 * @param {Element} node
 * @param {Properties} properties
 */
function apply(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(properties.on ?? {})) {
        node.addEventListener(event, listener);
      }
    } else setAttribute(node, name, value);
  }
}

/** @param {Child[]} children */
function present(children) {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => child instanceof Node ? child : String(child));
}

/**
 * Writes only what changed: an untouched node costs no layout.
 * @param {Node} node
 * @param {string | number} value
 */
export function setText(node, value) {
  const text = String(value);
  const only = node.firstChild;
  // The text node is kept: a new one would be laid out anew even for words of the same width.
  if (only instanceof Text && only.nextSibling === null) {
    if (only.data !== text) only.data = text;
  } else if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {Element} node
 * @param {string} name
 * @param {unknown} value
 */
export function setAttribute(node, name, value) {
  if (value === false || value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/**
 * Through the style object, which the content security policy allows, unlike `style` attributes.
 * @param {Element} node
 * @param {string} name a CSS property or custom property
 * @param {string} value
 */
export function setStyle(node, name, value) {
  const style = /** @type {HTMLElement} */ (node).style;
  if (style.getPropertyValue(name) !== value) style.setProperty(name, value);
}

/**
 * @param {Element} node
 * @param {boolean} visible
 */
export function setVisible(node, visible) {
  setAttribute(node, "hidden", !visible);
}

/**
 * Shows a list by keyed parts: a part is made once, updated in place and moved only when the order changed,
 * so that focus, selection and scrolling survive each second's update.
 * @template Item
 * @param {Element} parent
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => { element: Element, update(item: Item): void, close?(): void }} create
 * @returns {{ update(items: Item[]): void, close(): void }}
 */
export function keyedList(parent, keyOf, create) {
  /** @type {Map<string, ReturnType<typeof create>>} */
  const parts = new Map();
  return {
    update(items) {
      const gone = new Set(parts.keys());
      /** @type {Element | null} */
      let next = parent.firstElementChild;
      for (const item of items) {
        const key = keyOf(item);
        let part = parts.get(key);
        if (!part) parts.set(key, part = create(item));
        gone.delete(key);
        part.update(item);
        if (part.element === next) next = next.nextElementSibling;
        else parent.insertBefore(part.element, next);
      }
      for (const key of gone) {
        parts.get(key)?.close?.();
        parts.get(key)?.element.remove();
        parts.delete(key);
      }
    },
    close() {
      for (const part of parts.values()) part.close?.();
      parts.clear();
    },
  };
}
