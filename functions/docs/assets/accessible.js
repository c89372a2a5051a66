// Mends what Swagger UI leaves out for those who cannot see the page.

/** Names for the controls that have none, by selector. */
const NAMES = {
  "#servers": () => "Server",
  "[data-param-name] :is(input, select, textarea):not(label *)": (control) =>
    control.closest("[data-param-name]").dataset.paramName,
  ".body-param__text": () => "Request body",
  ".copy-to-clipboard > button": () => "Copy",
  ".close-modal": () => "Close",
};

/** A plugin for Swagger UI, which is in the element `root`. */
export function accessible(root) {
  new MutationObserver(() => mend(root)).observe(root, { childList: true, subtree: true });
  return ({ React }) => ({
    // Without it, the button that opens an operation has a link inside. Opening one leads to its address anyway.
    components: { DeepLink: ({ text }) => React.createElement("span", null, text) },
  });
}

function mend(root) {
  for (const [selector, name] of Object.entries(NAMES)) {
    const nameless = root.querySelectorAll(`:is(${selector}):not([aria-label])`);
    for (const control of nameless) control.setAttribute("aria-label", name(control));
  }
  // The levels after the title start at 3, and leave one out.
  for (const heading of root.querySelectorAll(":is(h3, h4, h5, h6):not([aria-level])")) {
    heading.setAttribute("aria-level", Math.min(heading.tagName.slice(1) - 1, 4));
  }
  // The keyboard scrolls what has the focus.
  for (const code of root.querySelectorAll("pre:not([tabindex])")) {
    if (code.scrollHeight > code.clientHeight || code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
  // A table is not a region; and the name of this button is not its text.
  for (const table of root.querySelectorAll("table[role=region]")) table.setAttribute("role", "table");
  for (const button of root.querySelectorAll(".modal-btn[aria-label]")) button.removeAttribute("aria-label");
}
