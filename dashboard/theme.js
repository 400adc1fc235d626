/**
 * Loaded before the first paint, so that the page never flashes in the wrong colours: applies the theme that was
 * chosen last. No choice: the system's, by media query.
 */
(() => {
  try {
    const chosen = localStorage.getItem("sqwish.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; the system's theme is then the right one.
  }
})();
