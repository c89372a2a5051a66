// A row of the list. What a person wrote is set as text, never as HTML.

import { dueState, dueText } from "./dates.js";

const byId = (id) => document.getElementById(id);

const STATUS = { pending: "To do", in_progress: "In progress", completed: "Done" };

const FIELD = {
  title: "Title",
  description: "Description",
  status: "Status",
  priority: "Priority",
  due_date: "Due",
  tags: "Tags",
};

export class Row {
  #editor = null;
  #place = "";
  #shown = { facts: "[]", note: "[]" };

  constructor(key) {
    this.element = byId("task-row").content.firstElementChild.cloneNode(true);
    this.key = key;
    this.element.dataset.key = key;
    this.check = this.#find(".check");
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  /** Shows the task as it is now; does nothing for one that it shows already. */
  update(task, now) {
    if (task === this.task) return;
    this.task = task;
    const { title, description, completed, queued } = task;
    this.check.checked = completed;
    this.check.setAttribute("aria-label", `Done: ${title}`);
    this.#find(".edit").setAttribute("aria-label", `Edit: ${title}`);
    this.#find(".delete").setAttribute("aria-label", `Delete: ${title}`);
    setText(this.#find(".title"), title);
    setText(this.#find(".description"), description ?? "");
    this.#find(".description").hidden = !description;
    this.element.classList.toggle("completed", completed);
    this.element.classList.toggle("unsent", queued.length > 0);
    this.refresh(now);
    this.#showNote(now);
  }

  /** Shows what depends on the time. */
  refresh(now) {
    const { status, due_date, priority, tags } = this.task;
    const due = due_date && dueText(due_date, now);
    const state = due && dueState(this.task, now);
    const text = JSON.stringify([status === "in_progress", due, state, priority, tags]);
    if (text === this.#shown.facts) return;
    this.#shown.facts = text;
    const facts = [];
    if (status === "in_progress") facts.push(make("span", "chip active", STATUS[status]));
    if (due) facts.push(dueChip(due_date, due, state));
    if (priority) facts.push(priorityChip(priority));
    for (const name of tags) facts.push(written(make("span", "chip tag", `#${name}`)));
    const place = this.#find(".facts");
    // Spaces, so that nobody hears them as one word.
    place.replaceChildren(...facts.flatMap((fact) => [fact, " "]));
    place.hidden = facts.length === 0;
  }

  /** Shows what the person has to decide, if anything. */
  #showNote(now) {
    const { failure, conflict } = this.task;
    const text = JSON.stringify([failure, conflict]);
    if (text === this.#shown.note) return;
    this.#shown.note = text;
    const before = this.#find(".note");
    // The buttons go, but not the focus.
    if (before?.contains(document.activeElement)) this.focus();
    before?.remove();
    if (failure) this.element.append(failureNote(failure));
    else if (conflict) this.element.append(conflictNote(conflict, now));
  }

  /** Turns into an editor's form; with null, into words again. */
  setEditor(editor) {
    if (editor === this.#editor) return;
    this.#editor?.element.remove();
    this.#editor = editor;
    this.element.classList.toggle("editing", editor !== null);
    for (const part of [this.check, this.#find(".words"), this.#find(".actions")]) part.hidden = editor !== null;
    if (editor) this.element.prepend(editor.element);
  }

  /** Tells the row's place among all, where only a part is drawn; `place` is null where all are. */
  number(place, total) {
    const text = place === null ? "" : `${place}/${total}`;
    if (text === this.#place) return;
    this.#place = text;
    if (place === null) {
      for (const name of ["aria-posinset", "aria-setsize"]) this.element.removeAttribute(name);
    } else {
      this.element.setAttribute("aria-posinset", place);
      this.element.setAttribute("aria-setsize", total);
    }
  }

  /** Whether Tab comes to this row. */
  setCurrent(isCurrent) {
    this.check.tabIndex = isCurrent ? 0 : -1;
  }

  focus() {
    (this.#editor ?? this.check).focus();
  }

  /** Focuses a row that is clicked. Nothing moves under the pointer. */
  focusInPlace() {
    this.check.focus({ preventScroll: true });
  }

  /** Focuses the next of the row's controls (1), or the one before (-1). */
  focusBeside(control, step) {
    const controls = [...this.element.querySelectorAll(":scope > .check, .actions button, .note button")];
    controls[controls.indexOf(control) + step]?.focus();
  }
}

function dueChip(iso, text, state) {
  const chip = make("time", `chip due ${state}`, make("span", "visually-hidden", "Due "));
  chip.dateTime = iso;
  chip.append(state === "overdue" ? `Overdue · ${text}` : text);
  return chip;
}

function priorityChip(priority) {
  const sign = make("span", "", `!${priority}`);
  sign.setAttribute("aria-hidden", "true");
  sign.dir = "ltr";
  return make("span", `chip priority p${priority}`, sign, make("span", "visually-hidden", `Priority ${priority}`));
}

function failureNote(failure) {
  return note("refused", `Not saved. ${failure}`, [
    ["retry", "Try again"],
    ["edit", "Edit"],
    ["discard", "Discard"],
  ]);
}

function conflictNote({ fields, theirs, mine, isDelete }, now) {
  if (isDelete) {
    const names = fields.map((field) => FIELD[field].toLowerCase()).join(", ");
    return note("", `You deleted this task, but it was changed elsewhere: ${names}.`, [
      ["theirs", "Keep it"],
      ["mine", "Delete anyway"],
    ]);
  }
  if (theirs === null) {
    return note("", "You changed this task, but it was deleted elsewhere.", [
      ["theirs", "Let it go"],
      ["mine", "Create it again"],
    ]);
  }
  const text = "You changed this task, and it was changed elsewhere, too.";
  const element = note("", text, [
    ["theirs", "Use theirs"],
    ["mine", "Keep mine"],
  ]);
  element.firstElementChild.after(versions(fields, mine, theirs, now));
  return element;
}

function note(kind, text, buttons) {
  const words = make("p", "", text);
  words.setAttribute("role", "alert");
  const choices = buttons.map(([action, name]) => {
    const button = make("button", "", name);
    button.type = "button";
    button.dataset.do = action;
    return button;
  });
  return make("div", `note ${kind}`, words, make("div", "choices", ...choices));
}

/** What each side has made of the fields. */
function versions(fields, mine, theirs, now) {
  const head = make("tr", "", make("td", ""), heading("col", "Mine"), heading("col", "Theirs"));
  const body = fields.map((field) => {
    const values = [mine, theirs].map((side) => written(make("td", "", valueText(field, side[field], now))));
    return make("tr", "", heading("row", FIELD[field]), ...values);
  });
  return make("table", "versions", make("thead", "", head), make("tbody", "", ...body));
}

function heading(scope, text) {
  const cell = make("th", "", text);
  cell.scope = scope;
  return cell;
}

function valueText(field, value, now) {
  if (value === null || value.length === 0) return "None";
  switch (field) {
    case "status":
      return STATUS[value];
    case "due_date":
      return dueText(value, now);
    case "tags":
      return value.map((name) => `#${name}`).join(" ");
    default:
      return String(value);
  }
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className.trim();
  element.append(...children);
  return element;
}

/** What a person wrote has a direction of its own. */
function written(element) {
  element.dir = "auto";
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
