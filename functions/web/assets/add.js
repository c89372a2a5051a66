// The form that adds tasks. It shows what it understood of the words before they are sent (quick entry, see entry.js).

import { dueText, language } from "./dates.js";
import { parseEntry } from "./entry.js";
import { Notice, clearErrors, showError } from "./forms.js";
import { showPills, speaker } from "./pills.js";
import { LIMITS, isInvisible, isWithin } from "./rules.js";
import { draft, keepDraft } from "./session.js";

const byId = (id) => document.getElementById(id);

/** Stands in the field for the end of a line: each line of a pasted list is a task. */
const BREAK = " ⏎ ";

/**
 * The form. `onAdd` is called with the new tasks, in the order of their creation: each with `title`, and with `description`,
 * `due_date`, `priority` and `tags` if there are any. It returns at once, so that no key is lost. `say` shows what was done.
 */
export function addForm({ onAdd, say }) {
  const [form, hint, understood] = ["add", "add-hint", "understood"].map(byId);
  const { title, description } = form.elements;
  const aloud = speaker(byId("understood-aloud"));
  /** What the person wants to stay words, in lower case. */
  const kept = new Set();

  // ---- what is understood

  /** What each line says. */
  const entries = () => lines(title.value).map((line) => parseEntry(line, { kept }));
  // The first call is slow; the first key need not wait for it.
  setTimeout(entries, 1000);

  function showUnderstood() {
    const all = title.value === "" ? [] : entries();
    // The same piece of several lines is shown once.
    const parts = new Map(all.flatMap(partsOf).map((part) => [part.button, part]));
    const pills = [...parts.values()].map((part) => ({ ...part, onPress: () => keep(part.pieces) }));
    if (all.length > 1) {
      pills.unshift({ words: `${all.length} tasks, one per line`, button: "Make it one task", onPress: joinLines });
    }
    showPills(understood, pills);
    hint.hidden = pills.length > 0;
    aloud(pills.map(({ before = "", words }) => before + words).join(", "));
  }

  /** Leaves pieces of the text alone. */
  function keep(pieces) {
    for (const piece of pieces) kept.add(piece.toLowerCase());
    changed();
    title.focus();
  }

  function joinLines() {
    title.select();
    insert(title, lines(title.value).join(" "));
  }

  function changed() {
    clearErrors(form);
    showUnderstood();
    keepDraft("add-title", title.value || null);
    keepDraft("add-description", description.value || null);
  }

  // ---- adding

  function add() {
    clearErrors(form);
    const all = entries().map((entry) => valuesOf(entry, description.value));
    const problem = problemOf(all);
    if (problem) {
      showError(form, problem);
      return;
    }
    empty();
    title.focus();
    if (all.length > 1) say(`Added: ${all.length} tasks`);
    // The list has the newest first: so it gets the order of the lines.
    onAdd(all.reverse());
  }

  function empty() {
    form.reset();
    kept.clear();
    changed();
  }

  title.addEventListener("input", changed);
  description.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });
  title.addEventListener("keydown", (event) => {
    // This Enter belongs to the input method; Safari tells by the key's old code alone.
    if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
  });
  description.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      add();
    }
  });
  title.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const pasted = text.split(/[\r\n\u2028\u2029]+/u).filter((line) => !isInvisible(line));
    if (pasted.length < 2) return;
    event.preventDefault();
    insert(title, pasted.map(withoutBullet).join(BREAK));
  });

  const isWriting = () => title.value !== "" || description.value !== "";

  return {
    focus() {
      title.focus();
    },
    /** Takes up what the signed-in user was writing before a reload. */
    resume() {
      if (isWriting()) return;
      title.value = draft("add-title") ?? "";
      description.value = draft("add-description") ?? "";
      form.querySelector("details").open = description.value !== "";
      showUnderstood();
    },
    /** Drops unsaved text. */
    forget() {
      empty();
      form.querySelector("details").open = false;
    },
    /** Whether there is unsaved text. */
    get isWriting() {
      return isWriting();
    },
  };
}

/** The lines that were pasted; one, if none were. */
function lines(text) {
  const all = text.split(BREAK.trim()).map((line) => line.trim());
  return all.some((line) => line !== "") ? all.filter((line) => line !== "") : [text];
}

/** A line of a list without what stands before it: "- ", "* [ ] ", "1. ". */
function withoutBullet(line) {
  return line.trim().replace(/^(?:[-*+•‣◦–]|\d{1,3}[.)])\s+/u, "").replace(/^\[[ xX]?\]\s+/u, "");
}

/** Inserts text at the caret, as typing does, so that the browser can undo it. */
function insert(field, text) {
  // Old, but nothing newer keeps the field's history.
  if (document.execCommand("insertText", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** The values of a new task, with those alone that it has. */
function valuesOf({ title, due_date, priority, tags }, description) {
  const values = { title: title.replaceAll("\0", "") };
  if (description !== "") values.description = description.replaceAll("\0", "");
  if (due_date !== null) values.due_date = due_date;
  if (priority !== null) values.priority = priority;
  if (tags.length > 0) values.tags = tags;
  return values;
}

/** Why the API would refuse one of these, or null. */
function problemOf(all) {
  for (const { title, description = "", tags = [] } of all) {
    if (isInvisible(title)) return new Notice("Must not be empty.", "title");
    if (!isWithin(title, LIMITS.title)) return new Notice(`Must be at most ${LIMITS.title} characters long.`, "title");
    if (tags.length > LIMITS.tags) return new Notice(`Must have at most ${LIMITS.tags} tags.`, "title");
    if (!isWithin(description, LIMITS.description)) {
      return new Notice(`Must be at most ${LIMITS.description} characters long.`, "description");
    }
  }
  return null;
}

/** What was understood of a line, as pills that leave the words alone; with the `pieces` of the text. */
function partsOf({ due_date, found }) {
  const part = (of, pill) => {
    const pieces = of.map(({ text }) => text);
    return { ...pill, pieces, button: `Keep as words: ${pieces.join(" ")}` };
  };
  const isDue = ({ kind }) => kind === "date" || kind === "time";
  const due = found.filter(isDue);
  const parts = found
    .filter((piece) => !isDue(piece))
    .map((piece) => part([piece], { words: piece.kind === "tag" ? piece.text.toLowerCase() : `Priority ${piece.text[1]}` }));
  if (due.length > 0) parts.unshift(part(due, { before: "Due ", words: dueText(due_date), lang: language }));
  return parts;
}
