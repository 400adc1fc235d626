// @ts-check
/** The page's few drawings, as strokes that take the colour of the text around them. */
import { svg } from "./dom.js";

/** @type {Record<string, string[]>} paths in a box of 24 */
const paths = {
  overview: ["M4 13h4l2.5-7 4 12 2.5-7h3"],
  agents: ["M4 5.5h16v5H4z", "M4 13.5h16v5H4z", "M7.5 8h.01", "M7.5 16h.01"],
  replicasets: ["M12 3.5 20 8l-8 4.5L4 8z", "M4 12l8 4.5 8-4.5", "M4 16l8 4.5 8-4.5"],
  rollouts: ["M5 19v-5M10 19v-9M15 19V6", "M19 9V4.5h-4.5", "M19 4.5 12 11.5"],
  endpoints: ["M4 12h11", "M11.5 7.5 16 12l-4.5 4.5", "M20 5v14"],
  events: ["M5 6.5h14", "M5 12h14", "M5 17.5h9"],
  logs: ["M4.5 4.5h15v15h-15z", "M8 9l3 3-3 3", "M13 15.5h3.5"],
  light: [
    "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
    "M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6l1.4 1.4M17 17l1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4",
  ],
  dark: ["M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z"],
  system: ["M4 5h16v10.5H4z", "M9 19.5h6M12 15.5v4"],
  out: ["M14 4.5H5.5v15H14", "M10 12h10M16.5 8.5 20 12l-3.5 3.5"],
  back: ["M14.5 5.5 8 12l6.5 6.5"],
  copy: ["M9 9h10.5v10.5H9z", "M15 9V4.5H4.5V15H9"],
  close: ["M6 6l12 12M18 6 6 18"],
};

/** @param {string} name one of the drawings above */
export function icon(name) {
  const shapes = paths[name].map((d) => svg("path", { d }));
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, ...shapes);
}

/** The squished one. It looks worried when the cluster is not well (style.css turns its mouth). */
export function logo() {
  return svg(
    "svg",
    { class: "logo", viewBox: "2 6 28 22", role: "img", "aria-label": "Sqwish" },
    svg("path", {
      class: "logo-body",
      d: "M4.2 19.6C4.2 12 8.6 8.2 16 8.2s11.8 3.8 11.8 11.4c0 5.2-3.2 6.6-11.8 6.6S4.2 24.8 4.2 19.6Z",
    }),
    svg("path", {
      class: "logo-shine",
      d: "M9.1 14.3c1.4-2.1 3.7-3 6.3-3.1.9 0 .9 1.3 0 1.4-2.1.1-3.9.9-5 2.5-.5.7-1.8 0-1.3-.8Z",
    }),
    svg(
      "g",
      { class: "logo-face" },
      svg("circle", { class: "logo-eye", cx: "12.2", cy: "18.6", r: "1.55" }),
      svg("circle", { class: "logo-eye", cx: "19.8", cy: "18.6", r: "1.55" }),
    ),
    svg("path", { class: "logo-mouth", d: "M13.9 21.6c1.3 1.1 2.9 1.1 4.2 0" }),
  );
}
