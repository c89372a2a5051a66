// The form that a row of the list turns into.

import { dayText, fromFields, toFields } from "./dates.js";
import { clearErrors, showError } from "./forms.js";
import { FIELDS, pick, same } from "./merge.js";
import { LIMITS, isInvisible, isWithin, tagForm } from "./rules.js";

const byId = (id) => document.getElementById(id);

/** The inputs of each field of a task. */
const INPUTS = {
  title: ["title"],
  description: ["description"],
  due_date: ["due", "time"],
  priority: ["priority"],
  status: ["status"],
  tags: ["tags"],
};

/** A task's form. It is not in the page yet. */
export class Editor {
  /** The task as the person saw it: where nothing is typed, as it is now. */
  #was;
  /** The inputs' values before anything was typed. */
  #initial = {};
  #names;
  #onSave;

  /**
   * What is typed, as a draft keeps it: the task that the person saw when the form was opened, and the inputs' values.
   * `keep` is called when it changes, `onSave(changes, was)` and `onCancel()` when the person is done.
   */
  constructor({ was, values }, { names, keep, onSave, onCancel }) {
    this.element = byId("task-editor").content.firstElementChild.cloneNode(true);
    this.inputs = this.element.elements;
    this.isGone = false;
    this.#was = { ...was };
    this.#names = names;
    this.#onSave = onSave;
    this.#fill(FIELDS);
    if (values) for (const [name, value] of Object.entries(values)) this.inputs[name].value = value;
    if (was.created_at) this.element.querySelector(".meta").textContent = `Added ${dayText(was.created_at)}`;
    this.element.addEventListener("input", (event) => {
      if (event.target === this.inputs.tags) this.#suggest();
      keep();
    });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.element.querySelector(".close").addEventListener("click", onCancel);
    this.element.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.preventDefault();
        onCancel();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.save();
      } else if (event.key === "Enter" && event.target === this.inputs.tags && /[^,\s]\s*$/.test(event.target.value)) {
        // Enter ends a tag, as in other programs; another one saves.
        event.preventDefault();
        event.target.value = `${event.target.value.trimEnd()}, `;
      }
    });
  }

  /** Follows a change made elsewhere, except where something is typed; null is a deletion. */
  follow(task) {
    this.isGone = task === null;
    const failure = this.element.querySelector(".failure");
    failure.textContent = this.isGone ? "This task was deleted elsewhere. If you save, it is created again." : "";
    failure.hidden = !this.isGone;
    if (this.isGone) return;
    const untouched = FIELDS.filter((field) => !this.#isTouched(field));
    Object.assign(this.#was, task, pick(this.#was, FIELDS), pick(task, untouched));
    this.#fill(untouched);
  }

  /** Whether anything is typed. */
  get isWritten() {
    return FIELDS.some((field) => this.#isTouched(field));
  }

  /** What a draft keeps of it. */
  get draft() {
    return { was: this.#was, values: Object.fromEntries(new FormData(this.element)) };
  }

  focus() {
    this.inputs.title.focus();
  }

  /** Saves what is typed. Returns false if it breaks a rule, which is shown at its field. */
  save() {
    clearErrors(this.element);
    const changes = this.#changes();
    const errors = [...this.#dateErrors(), ...errorsOf(changes)];
    if (errors.length > 0) showError(this.element, { errors });
    else this.#onSave(changes, this.#was);
    return errors.length === 0;
  }

  #isTouched(field) {
    return INPUTS[field].some((name) => this.inputs[name].value !== this.#initial[name]);
  }

  #fill(fields) {
    const values = valuesOf(this.#was);
    for (const name of fields.flatMap((field) => INPUTS[field])) {
      const input = this.inputs[name];
      if (input.value !== values[name]) input.value = values[name];
      // As the input normalises it: what a line cannot hold does not count as typed.
      this.#initial[name] = input.value;
    }
  }

  #changes() {
    const { title, description, due, time, priority, status, tags } = this.inputs;
    const typed = {
      title: title.value.trim(),
      description: description.value || null,
      due_date: due.value ? fromFields(due.value, time.value) : null,
      priority: Number(priority.value) || null,
      status: status.value,
      tags: namesIn(tags.value),
    };
    const isChanged = (field) => this.#isTouched(field) && !same(field, typed[field], this.#was[field]);
    return pick(typed, FIELDS.filter(isChanged));
  }

  #dateErrors() {
    const { due, time } = this.inputs;
    // What is typed in part has no value, and would be lost.
    if (!due.validity.valid) return [{ field: "due", detail: "must be a date" }];
    if (!time.validity.valid) return [{ field: "time", detail: "must be a time" }];
    return time.value && !due.value ? [{ field: "due", detail: "must be set for a time" }] : [];
  }

  /** Offers the known tags that begin with the last word. */
  #suggest() {
    const [, before, word] = /^(.*[,\s])?#?(.*)$/s.exec(this.inputs.tags.value);
    const used = new Set(namesIn(before ?? ""));
    const fitting = word ? this.#names().filter((name) => name.startsWith(word.toLowerCase()) && !used.has(name)) : [];
    const options = fitting.slice(0, 8).map((name) => new Option("", `${before ?? ""}${name}`));
    this.inputs.tags.list.replaceChildren(...options);
  }
}

/** The inputs' values for a task. */
function valuesOf({ title, description, due_date, priority, status, tags }) {
  const { date, time } = toFields(due_date);
  // A single name with a space is one only beside a comma.
  const names = tags.length === 1 && /\s/.test(tags[0]) ? `${tags[0]},` : tags.join(", ");
  return { title, description: description ?? "", due: date, time, priority: String(priority ?? ""), status, tags: names };
}

/** The tags in a text: separated by commas, which lets their names have spaces, or else by spaces; with or without "#". */
function namesIn(text) {
  const words = text.split(text.includes(",") ? /,|\s(?=#)/ : /\s/);
  const names = words.map((word) => tagForm(word.trim().replace(/^#/, "")));
  return [...new Set(names)].filter((name) => name !== "").sort();
}

/** Which of the API's rules these values break, worded as the API does it: `[{ field, detail }]`. */
function errorsOf({ title, description, tags }) {
  const errors = [];
  const check = (field, isBroken, detail) => isBroken && errors.push({ field, detail });
  if (title !== undefined) {
    check("title", title === "", "must not be empty");
    check("title", title !== "" && isInvisible(title), "must not consist of invisible characters alone");
    check("title", !isWithin(title, LIMITS.title), `must be at most ${LIMITS.title} characters long`);
    check("title", title.includes("\0"), "must not contain the character U+0000");
  }
  const isLong = !isWithin(description ?? "", LIMITS.description);
  check("description", isLong, `must be at most ${LIMITS.description} characters long`);
  check("description", description?.includes("\0"), "must not contain the character U+0000");
  if (tags !== undefined) {
    check("tags", tags.length > LIMITS.tags, `must be at most ${LIMITS.tags} different names`);
    const isLong = tags.some((name) => !isWithin(name, LIMITS.tag));
    check("tags", isLong, `must not have names of more than ${LIMITS.tag} characters`);
    check("tags", tags.some((name) => /\p{Cc}/u.test(name)), "must not have commas or control characters in names");
    check("tags", tags.some(isInvisible), "must not have names of invisible characters alone");
  }
  return errors;
}
