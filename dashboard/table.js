// @ts-check
/**
 * A table whose headings sort it, by mouse and keyboard; the address keeps the order. Rows are made once and updated in
 * place. Rows that jump each second can't be read, so an order by values that move is renewed every few seconds.
 */
import { addressValue, setAddressValues } from "./address.js";
import { h, keyedList, setAttribute, setText, setVisible } from "./dom.js";
import { orderText, parseOrder, sortItems } from "./order.js";

const resortMs = 5000;

/**
 * @template Item
 * @typedef {object} Column
 * @property {string} key
 * @property {string} title
 * @property {(item: Item) => import("./order.js").OrderValue} [by] what is sorted by; left out: it can't be
 * @property {boolean} [isNumber] to the right; the first press shows the largest first
 * @property {string} [class]
 */

/**
 * Sorts anew when the order or the items are others, else only now and then.
 * @template Item
 * @param {(item: Item) => string} keyOf
 */
export function createCalmSort(keyOf) {
  /** @type {Map<string, number>} */
  let ranks = new Map();
  let sortedAt = -Infinity;
  let sortedBy = "";
  /**
   * @param {Item[]} items
   * @param {import("./order.js").Order} order
   * @param {(item: Item) => import("./order.js").OrderValue} by
   */
  return (items, order, by) => {
    const isKnown = sortedBy === orderText(order) && items.every((item) => ranks.has(keyOf(item)));
    if (!isKnown || performance.now() - sortedAt > resortMs) {
      sortedAt = performance.now();
      sortedBy = orderText(order);
      const sorted = sortItems(items, { by, keyOf, down: order.down });
      ranks = new Map(sorted.map((item, index) => [keyOf(item), index]));
    }
    const rankOf = (/** @type {Item} */ item) => ranks.get(keyOf(item)) ?? Infinity;
    return [...items].sort((a, b) => rankOf(a) - rankOf(b));
  };
}

/**
 * @template Item
 * @param {object} options
 * @param {string} options.label for who can't see it
 * @param {string} options.class
 * @param {string} options.name of the order in the address: `sort` for a page's main table
 * @param {Column<Item>[]} options.columns
 * @param {import("./order.js").Order} options.order at first
 * @param {(item: Item) => string} options.keyOf
 * @param {(item: Item) => { element: Element, update(item: Item): void, close?(): void }} options.createRow
 */
export function createTable({ label, class: className, name, columns, order: first, keyOf, createRow }) {
  const sortable = columns.filter(({ by }) => by).map(({ key }) => key);
  let order = parseOrder(addressValue(name), sortable) ?? first;
  /** @type {Item[]} */
  let items = [];
  const sort = createCalmSort(keyOf);

  const headings = columns.map(createHeading);
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, ...headings.map(({ element }) => element)));
  const table = h("table", { class: className, "aria-label": label }, head, body);
  // A box that scrolls must be reachable without a mouse.
  const element = h("div", { class: "scroll", role: "region", "aria-label": label }, table);
  const resize = new ResizeObserver(() => {
    setAttribute(element, "tabindex", element.scrollWidth > element.clientWidth ? 0 : null);
  });
  resize.observe(element);
  const list = keyedList(body, keyOf, createRow);

  /** @param {Column<Item>} column */
  function createHeading({ key, title, by, isNumber, class: own }) {
    const classes = [own, isNumber && "number"].filter(Boolean).join(" ");
    const about = { scope: "col", class: classes, "data-column": key };
    if (!by) return { element: h("th", about, title), show() {} };
    const click = () => {
      order = { key, down: order.key === key ? !order.down : isNumber ?? false };
      setAddressValues({ [name]: orderText(order) });
      show();
    };
    const button = h("button", { type: "button", class: "sort", on: { click } }, title);
    const element = h("th", about, button);
    return {
      element,
      show() {
        const sort = order.key === key ? order.down ? "descending" : "ascending" : null;
        setAttribute(element, "aria-sort", sort);
      },
    };
  }

  function show() {
    for (const heading of headings) heading.show();
    const by = columns.find(({ key }) => key === order.key)?.by ?? keyOf;
    list.update(sort(items, order, by));
    setVisible(element, items.length > 0);
  }

  return {
    element,
    /** @param {Item[]} next */
    update(next) {
      items = next;
      show();
    },
    close() {
      resize.disconnect();
      list.close();
    },
  };
}

/**
 * A box for words that choose rows; the address keeps them.
 * @param {string} label
 * @param {() => void} changed
 */
export function createWordFilter(label, changed) {
  const input = () => {
    setAddressValues({ filter: element.value.trim() });
    changed();
  };
  const element = h("input", { type: "search", placeholder: label, "aria-label": label, on: { input } });
  element.value = addressValue("filter") ?? "";
  return {
    element,
    /** Whether all the words are in it. @param {string} text */
    matches(text) {
      const lower = text.toLowerCase();
      return element.value.trim().toLowerCase().split(/\s+/).every((word) => lower.includes(word));
    },
  };
}

/**
 * A choice of order for what is no table: cards, and tables that have lost their headings on a phone.
 * @param {{ key: string, title: string }[]} choices
 * @param {import("./order.js").Order} first
 * @param {() => void} changed
 */
export function createOrderChoice(choices, first, changed) {
  let order = parseOrder(addressValue("sort"), choices.map(({ key }) => key)) ?? first;
  const select = h("select", { "aria-label": "Order" });
  select.append(...choices.map(({ key, title }) => h("option", { value: key }, title)));
  select.value = order.key;
  const turn = h("button", { type: "button", class: "turn" });
  const keep = () => {
    setAddressValues({ sort: orderText(order) });
    show();
    changed();
  };
  select.addEventListener("change", () => {
    order = { key: select.value, down: order.down };
    keep();
  });
  turn.addEventListener("click", () => {
    order = { ...order, down: !order.down };
    keep();
  });
  function show() {
    setText(turn, order.down ? "↓" : "↑");
    const label = order.down ? "Largest first" : "Smallest first";
    setAttribute(turn, "aria-label", label);
    setAttribute(turn, "title", label);
  }
  show();
  return { element: h("span", { class: "order" }, select, turn), order: () => order };
}
