// The list: add, complete, edit, delete, filter, load more.

import { Changed, Problem, newKey } from "./api.js";
import { Notice, clearErrors, isBusy, onSubmit, sentence } from "./forms.js";

const byId = (id) => document.getElementById(id);

/** How many tasks are fetched at a time. */
const PAGE = 20;

/** What to say about a list with nothing in it, by filter. */
const NOTHING = {
  "": "Nothing here yet. Write down the first thing that is to be done.",
  false: "Nothing is left to do.",
  true: "Nothing is done yet.",
};

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The list of whoever is signed in. `say` tells the person what was done. */
export function taskList(api, say) {
  const [desk, list, nothing, more, failure] = ["desk", "tasks", "nothing", "load-more", "list-failure"].map(byId);
  const [add, filter] = ["add", "filter"].map(byId);

  /** The rows on show, by the id of their task, newest first. */
  const rows = new Map();
  /** Where the rest of the list is, if there is more. */
  let next = null;
  /** Ends the request for a list that is no longer wanted. */
  let loading = new AbortController();
  /** Whose words are in the forms. */
  let owner = null;
  /** The words that were sent to be created, and the key they are sent under until there is an answer. */
  let sent = { words: null, key: null };

  const edit = editDialog(api, { onTask: show, onGone: remove, say });
  const remover = deleteDialog(api, { onTask: show, onGone: remove, say });

  // ---- the list

  const chosen = () => filter.querySelector(":checked").value;
  const isWanted = (task) => chosen() === "" || String(task.completed) === chosen();

  /** Fetches the list from its start, or the next part of it. */
  async function load(from = null) {
    loading.abort();
    loading = new AbortController();
    const { signal } = loading;
    failure.hidden = true;
    list.setAttribute("aria-busy", "true");
    more.setAttribute("aria-busy", "true");
    try {
      const completed = chosen() || undefined;
      const page = await api.listTasks({ completed, limit: PAGE, next: from, signal });
      if (from === null) clear();
      const fresh = page.tasks.filter((task) => !rows.has(task.id)).map((task) => rowOf(task));
      list.append(...fresh.map((row) => row.element));
      next = page.next;
      // The button may be gone, and is behind what it has brought.
      if (from !== null) fresh[0]?.focus();
    } catch (error) {
      if (signal.aborted) return;
      failure.querySelector("p").textContent = sentence(error);
      failure.hidden = false;
      byId("reload").onclick = () => load(from);
    } finally {
      if (!signal.aborted) {
        list.removeAttribute("aria-busy");
        more.removeAttribute("aria-busy");
        tidy();
      }
    }
  }

  function tidy() {
    more.hidden = next === null;
    nothing.hidden = rows.size > 0 || next !== null || !failure.hidden;
    nothing.textContent = NOTHING[chosen()];
  }

  function clear() {
    rows.clear();
    list.replaceChildren();
    next = null;
  }

  function rowOf(task) {
    const row = new Row(task, {
      onToggle: toggle,
      onEdit: (row) => edit.open(row.task),
      onDelete: (row) => remover.open(row.task),
    });
    rows.set(task.id, row);
    return row;
  }

  /** Shows a task as it is now, where it is or at the top; not where the filter leaves it out. */
  function show(task) {
    const row = rows.get(task.id);
    row?.update(task);
    if (!isWanted(task)) {
      if (row) remove(task);
    } else if (!row) {
      list.prepend(rowOf(task).element);
    }
    tidy();
  }

  /** Takes a row away, and leaves the keyboard at the one that takes its place. */
  function remove(task) {
    const row = rows.get(task.id);
    if (!row) return;
    const hadFocus = row.element.contains(document.activeElement);
    const neighbour = row.element.nextElementSibling ?? row.element.previousElementSibling;
    row.element.remove();
    rows.delete(task.id);
    tidy();
    if (hadFocus || document.activeElement === document.body) {
      (neighbour?.querySelector(".check") ?? byId("desk-heading")).focus();
    }
  }

  filter.addEventListener("change", () => load());
  more.addEventListener("click", () => load(next));

  // ---- completing: shown at once, taken back if it fails

  async function toggle(row) {
    // Those who change their mind meanwhile are served by the same loop.
    if (row.isSaving) return;
    row.isSaving = true;
    row.note("");
    try {
      while (row.wanted !== row.task.completed) {
        row.task = await api.updateTask(row.task, { completed: row.wanted });
      }
      say(row.task.completed ? `Done: ${brief(row.task.title)}` : `To do again: ${brief(row.task.title)}`);
      show(row.task);
    } catch (error) {
      if (error instanceof Changed) {
        row.update(error.current);
        row.note("This task was changed elsewhere in the meantime. This is how it is now.");
      } else if (isGone(error)) {
        say(`It was deleted elsewhere: ${brief(row.task.title)}`);
        remove(row.task);
      } else {
        row.update(row.task);
        row.note(`Not saved. ${sentence(error)}`);
      }
    } finally {
      row.isSaving = false;
    }
  }

  // ---- adding

  onSubmit(add, async ({ title, description }) => {
    const words = description === "" ? { title } : { title, description };
    // The same words after a failure are the same task: there may be one already.
    const text = JSON.stringify(words);
    if (sent.words !== text) sent = { words: text, key: newKey() };
    const task = await api.createTask(words, sent.key);
    sent = { words: null, key: null };
    add.reset();
    add.elements.title.focus();
    show(task);
    say(isWanted(task) ? `Added: ${brief(task.title)}` : `Added to what is to be done: ${brief(task.title)}`);
  });

  return {
    /** Shows the list of whoever is signed in now, and what the same person was writing before. */
    async show() {
      clearErrors(add);
      if (owner !== api.session.user_id) this.forget();
      owner = api.session.user_id;
      desk.hidden = false;
      add.elements.title.focus();
      await Promise.all([load(), edit.resume()]);
    },
    /** Hides it. What is being written stays, for when its writer is back. */
    hide() {
      loading.abort();
      edit.suspend();
      remover.close();
      clear();
      desk.hidden = true;
    },
    /** Whether there are words that have not been saved. */
    get isWriting() {
      return add.elements.title.value !== "" || add.elements.description.value !== "" || edit.isOpen;
    },
    /** Drops what is being written. */
    forget() {
      add.reset();
      add.querySelector("details").open = false;
      edit.forget();
      filter.querySelector("[value='']").checked = true;
      sent = { words: null, key: null };
    },
  };
}

/** A task in the list. Its words are set as text, never as HTML. */
class Row {
  constructor(task, { onToggle, onEdit, onDelete }) {
    this.element = byId("task-row").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.check = find(".check");
    this.check.addEventListener("change", () => onToggle(this));
    find(".edit").addEventListener("click", () => onEdit(this));
    find(".delete").addEventListener("click", () => onDelete(this));
    this.isSaving = false;
    this.update(task);
  }

  /** What the person wants it to be. */
  get wanted() {
    return this.check.checked;
  }

  update(task) {
    this.task = task;
    this.check.checked = task.completed;
    this.check.setAttribute("aria-label", `Done: ${task.title}`);
    this.element.querySelector(".edit").setAttribute("aria-label", `Edit: ${task.title}`);
    this.element.querySelector(".delete").setAttribute("aria-label", `Delete: ${task.title}`);
    showWords(this.element, task);
    const time = this.element.querySelector("time");
    time.dateTime = task.created_at;
    time.textContent = day.format(new Date(task.created_at));
  }

  /** Says something about the task, or nothing any more. */
  note(text) {
    const note = this.element.querySelector(".note");
    note.textContent = text;
    note.hidden = text === "";
  }

  focus() {
    this.check.focus();
  }
}

/** The dialog that changes a task's words. */
function editDialog(api, { onTask, onGone, say }) {
  const [dialog, form] = ["edit-dialog", "edit"].map(byId);
  const conflict = form.querySelector(".conflict");
  const save = form.querySelector(".primary");
  /** The task as the person last saw it, while its words are in the form. */
  let task = null;
  /** The session ended while the dialog was open. */
  let isSuspended = false;

  function fill() {
    form.elements.title.value = task.title;
    form.elements.description.value = task.description ?? "";
  }

  function resolve() {
    conflict.hidden = true;
    save.textContent = "Save";
  }

  function showConflict(current) {
    task = current;
    onTask(current);
    showWords(conflict, current);
    conflict.querySelector(".meta").textContent = current.completed ? "Done" : "To do";
    conflict.hidden = false;
    save.textContent = "Save mine over it";
    form.elements.title.focus();
  }

  onSubmit(form, async (typed) => {
    const changes = {};
    if (typed.title !== inLine(task.title)) changes.title = typed.title;
    if (inLines(typed.description) !== inLines(task.description)) changes.description = inLines(typed.description) || null;
    try {
      if (Object.keys(changes).length > 0) {
        onTask(await api.updateTask(task, changes));
        say("Saved.");
      }
      dialog.close();
    } catch (error) {
      if (error instanceof Changed) {
        showConflict(error.current);
      } else if (isGone(error)) {
        onGone(task);
        throw new Notice("This task is not there any more: it was deleted elsewhere. What you typed is still here.");
      } else {
        throw error;
      }
    }
  });

  conflict.querySelector("button").addEventListener("click", () => {
    fill();
    resolve();
    form.elements.title.focus();
  });
  closeWith(dialog, form);
  dialog.addEventListener("close", () => {
    if (!isSuspended) task = null;
  });

  function open() {
    clearErrors(form);
    resolve();
    dialog.showModal();
    form.elements.title.focus();
  }

  return {
    get isOpen() {
      return dialog.open;
    },
    open(wanted) {
      task = wanted;
      fill();
      open();
    },
    /** Closes the dialog because the session has ended; what was typed stays in it. */
    suspend() {
      if (!dialog.open) return;
      isSuspended = true;
      dialog.close();
    },
    /** Opens it again with what was typed. */
    async resume() {
      if (!isSuspended) return;
      open();
      // Only once the dialog's `close` event of back then is certainly over.
      isSuspended = false;
    },
    forget() {
      isSuspended = false;
      dialog.close();
      form.reset();
      task = null;
    },
  };
}

/** The dialog that asks before a task is deleted. */
function deleteDialog(api, { onTask, onGone, say }) {
  const [dialog, form] = ["delete-dialog", "delete"].map(byId);
  const conflict = form.querySelector(".conflict");
  let task = null;

  onSubmit(form, async () => {
    try {
      await api.deleteTask(task);
      dialog.close();
      onGone(task);
      say(`Deleted: ${brief(task.title)}`);
    } catch (error) {
      if (error instanceof Changed) {
        task = error.current;
        onTask(task);
        showWords(form, task);
        conflict.hidden = false;
      } else if (isGone(error)) {
        dialog.close();
        onGone(task);
        say(`It was deleted elsewhere already: ${brief(task.title)}`);
      } else {
        throw error;
      }
    }
  });
  closeWith(dialog, form);

  return {
    open(wanted) {
      task = wanted;
      showWords(form, task);
      conflict.hidden = true;
      clearErrors(form);
      dialog.showModal();
    },
    close() {
      dialog.close();
    },
  };
}

/** Lets the dialog's buttons and the Escape key close it, but not while something is on its way. */
function closeWith(dialog, form) {
  dialog.querySelector(".close").addEventListener("click", () => {
    if (!isBusy(form)) dialog.close();
  });
  dialog.addEventListener("cancel", (event) => {
    if (isBusy(form)) event.preventDefault();
  });
}

function showWords(element, { title, description, completed }) {
  element.querySelector(".title").textContent = title;
  const more = element.querySelector(".description");
  more.textContent = description ?? "";
  more.hidden = !description;
  element.classList.toggle("completed", completed);
}

/** The task is not there any more: one answer for no task and another user's, and it was this one's. */
function isGone(error) {
  return error instanceof Problem && error.status === 403;
}

/** Enough of a title to know which task is meant. */
function brief(title) {
  const characters = [...title];
  return characters.length > 60 ? `${characters.slice(0, 59).join("")}…` : title;
}

// As a field has it: what was not touched must not count as changed.
const inLine = (text) => text.replace(/[\r\n]/g, "");
const inLines = (text) => (text ?? "").replace(/\r\n?/g, "\n");
