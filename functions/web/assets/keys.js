// The keyboard: the page's own shortcuts, and the sheet that lists all of them.

const byId = (id) => document.getElementById(id);

/** Where the browser keeps that single keys are switched off. */
const STORED = "task-api-single-keys";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

/** What holds where nothing can be kept. */
let areOn = true;

/**
 * The key of a shortcut, or null: while somebody types, with Ctrl, Alt or Cmd, or when the person wants no shortcut of a
 * single character.
 */
export function shortcut(event) {
  if (event.defaultPrevented || event.isComposing || isTyping(event.target)) return null;
  // AltGr is how some keyboards type "#" and "/".
  const isPlain = event.getModifierState("AltGraph") || !(event.ctrlKey || event.altKey);
  if (event.metaKey || !isPlain) return null;
  if ([...event.key].length > 1) return event.shiftKey ? null : event.key;
  if (!areSingleKeysOn()) return null;
  // Caps Lock is no Shift.
  return event.shiftKey ? event.key : event.key.toLowerCase();
}

/**
 * Listens to the keys that work everywhere on the page, and opens the sheet. `add`, `search`, `undo` and `list` are called
 * for their keys.
 */
export function shortcuts({ add, search, undo, list }) {
  const [desk, sheet, singles] = ["desk", "help", "single-keys"].map(byId);
  const actions = { n: add, a: add, "/": search, u: undo, j: list, k: list, "?": help };

  function help() {
    singles.checked = areSingleKeysOn();
    sheet.showModal();
    byId("help-heading").focus();
  }

  document.addEventListener("keydown", (event) => {
    if (desk.hidden || document.querySelector("dialog[open]")) return;
    // Out of a field, to where single keys work. What was typed stays.
    if (event.key === "Escape" && event.target.matches("#add-title, #search") && !event.isComposing) list();
    const action = isUndo(event) ? undo : actions[shortcut(event)];
    if (action === undefined) return;
    // The character is not for the field that is focused now.
    event.preventDefault();
    if (!event.repeat) action();
  });

  byId("show-help").addEventListener("click", help);
  sheet.querySelector(".close").addEventListener("click", () => sheet.close());
  singles.addEventListener("change", () => switchSingleKeys(singles.checked));
  if (APPLE) for (const key of sheet.querySelectorAll("kbd.command")) key.textContent = "⌘";
}

function isUndo(event) {
  const hasCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  return hasCommand && event.key.toLowerCase() === "z" && !event.defaultPrevented && !isTyping(event.target);
}

function isTyping(target) {
  return target.closest?.("input:not([type='checkbox'], [type='radio']), textarea, select, [contenteditable]") != null;
}

function areSingleKeysOn() {
  try {
    return localStorage.getItem(STORED) !== "off" && areOn;
  } catch {
    // Storage may be disabled.
    return areOn;
  }
}

function switchSingleKeys(on) {
  areOn = on;
  try {
    if (on) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, "off");
  } catch {
    // As above.
  }
}
