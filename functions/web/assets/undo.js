// Undo: what was done can be taken back for some seconds, the last thing first.

import { UNDO_MS } from "./sync.js";

const byId = (id) => document.getElementById(id);

/**
 * The bar that says what was done, with the button "Undo".
 *
 * Each offer has its own time, which stands still while the pointer or the focus is on the bar.
 */
export function undoBar() {
  const bar = byId("undo");
  const [words, button] = [bar.querySelector("p"), bar.querySelector("button")];
  /** `{ text, revert, left }`, the oldest first; `left` is in milliseconds. */
  let offers = [];
  let isHeld = false;
  let since = 0;
  let timer;

  /** Counts the time since the last call, and shows the newest offer that still stands. */
  function pass() {
    const now = performance.now();
    if (!isHeld) for (const offer of offers) offer.left -= now - since;
    since = now;
    offers = offers.filter(({ left }) => left > 0);
    clearTimeout(timer);
    if (!isHeld && offers.length > 0) timer = setTimeout(pass, Math.min(...offers.map(({ left }) => left)));
    show(offers.at(-1));
  }

  function show(offer) {
    if (words.textContent !== (offer?.text ?? "")) words.textContent = offer?.text ?? "";
    if (offer === undefined) {
      // The focus and the pointer are not seen to leave what is hidden.
      isHeld = false;
      if (document.activeElement === button) byId("desk-heading").focus();
    }
    button.hidden = offer === undefined;
  }

  function hold(held) {
    pass();
    isHeld = held && offers.length > 0;
    pass();
  }

  function undo() {
    pass();
    const offer = offers.pop();
    offer?.revert();
    pass();
  }

  for (const event of ["pointerenter", "focusin"]) bar.addEventListener(event, () => hold(true));
  for (const event of ["pointerleave", "focusout"]) {
    bar.addEventListener(event, () => hold(bar.matches(":hover, :focus-within")));
  }
  button.addEventListener("click", undo);

  return {
    /** Says `text`; "Undo" calls `revert`. */
    offer(text, revert) {
      pass();
      offers.push({ text, revert, left: UNDO_MS });
      pass();
    },
    /** Takes the last thing back, if it still can be. */
    undo,
    /** Offers nothing any more. */
    forget() {
      offers = [];
      pass();
    },
  };
}
