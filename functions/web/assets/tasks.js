// The task list: add, complete, edit, delete, filter, load more.

import { Changed, Problem, newKey } from "./api.js";
import { Notice, clearErrors, isBusy, onSubmit, sentence } from "./forms.js";

const byId = (id) => document.getElementById(id);

/** Tasks per page. */
const PAGE = 20;

/** The text for an empty list, by filter. */
const NOTHING = {
  "": "Nothing here yet. Add your first task.",
  false: "Nothing left to do.",
  true: "Nothing is done yet.",
};

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The signed-in user's list. `say` shows what was done. */
export function taskList(api, say) {
  const [desk, list, nothing, more, failure] = ["desk", "tasks", "nothing", "load-more", "list-failure"].map(byId);
  const [add, filter] = ["add", "filter"].map(byId);

  /** The visible rows by task id, newest first. */
  const rows = new Map();
  /** The next page, or null. */
  let next = null;
  /** Cancels the request for a list that is no longer wanted. */
  let loading = new AbortController();
  /** The user whose text is in the forms. */
  let owner = null;
  /** The new task being sent, as JSON, and its key, until there is a response. */
  let sent = { text: null, key: null };

  const edit = editDialog(api, { onTask: show, onGone: remove, say });
  const remover = deleteDialog(api, { onTask: show, onGone: remove, say });

  // ---- the list

  const chosen = () => filter.querySelector(":checked").value;
  const isWanted = (task) => chosen() === "" || String(task.completed) === chosen();

  /** Loads the first page, or the page at `from`. */
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
      // The button may be hidden now, and comes after the new rows.
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

  /** Updates a task's row, adds one at the top, or removes it if the filter excludes the task. */
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

  /** Removes a row, and moves the focus to its neighbour. */
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

  // ---- completing: shown at once, reverted if it fails

  async function toggle(row) {
    // A click meanwhile is handled by the loop below.
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
    const values = description === "" ? { title } : { title, description };
    // The same values after a failure are the same task, which may have been created.
    const text = JSON.stringify(values);
    if (sent.text !== text) sent = { text, key: newKey() };
    const task = await api.createTask(values, sent.key);
    sent = { text: null, key: null };
    add.reset();
    add.elements.title.focus();
    show(task);
    say(isWanted(task) ? `Added: ${brief(task.title)}` : `Added to the tasks to do: ${brief(task.title)}`);
  });

  return {
    /** Shows the signed-in user's list, with what the same user was writing before. */
    async show() {
      clearErrors(add);
      if (owner !== api.session.user_id) this.forget();
      owner = api.session.user_id;
      desk.hidden = false;
      add.elements.title.focus();
      await Promise.all([load(), edit.resume()]);
    },
    /** Hides it. Unsaved text stays, for when the same user signs in again. */
    hide() {
      loading.abort();
      edit.suspend();
      remover.close();
      clear();
      desk.hidden = true;
    },
    /** Whether there is unsaved text. */
    get isWriting() {
      return add.elements.title.value !== "" || add.elements.description.value !== "" || edit.isOpen;
    },
    /** Drops unsaved text. */
    forget() {
      add.reset();
      add.querySelector("details").open = false;
      edit.forget();
      filter.querySelector("[value='']").checked = true;
      sent = { text: null, key: null };
    },
  };
}

/** A task in the list. Its title and description are set as text, never as HTML. */
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

  /** Whether the user wants the task completed. */
  get wanted() {
    return this.check.checked;
  }

  update(task) {
    this.task = task;
    this.check.checked = task.completed;
    this.check.setAttribute("aria-label", `Done: ${task.title}`);
    this.element.querySelector(".edit").setAttribute("aria-label", `Edit: ${task.title}`);
    this.element.querySelector(".delete").setAttribute("aria-label", `Delete: ${task.title}`);
    showText(this.element, task);
    const time = this.element.querySelector("time");
    time.dateTime = task.created_at;
    time.textContent = day.format(new Date(task.created_at));
  }

  /** Shows a message at the task; an empty one hides it. */
  note(text) {
    const note = this.element.querySelector(".note");
    note.textContent = text;
    note.hidden = text === "";
  }

  focus() {
    this.check.focus();
  }
}

/** The dialog that changes a task's title and description. */
function editDialog(api, { onTask, onGone, say }) {
  const [dialog, form] = ["edit-dialog", "edit"].map(byId);
  const conflict = form.querySelector(".conflict");
  const save = form.querySelector(".primary");
  /** The task as the user last saw it, while it is in the form. */
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
    showText(conflict, current);
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
    /** Closes the dialog because the session has ended; the text stays in it. */
    suspend() {
      if (!dialog.open) return;
      isSuspended = true;
      dialog.close();
    },
    /** Opens it again with that text. */
    async resume() {
      if (!isSuspended) return;
      open();
      // Only now: the `close` event of `suspend` has certainly been handled.
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
        showText(form, task);
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
      showText(form, task);
      conflict.hidden = true;
      clearErrors(form);
      dialog.showModal();
    },
    close() {
      dialog.close();
    },
  };
}

/** Lets the dialog's buttons and the Escape key close it, but not while a request is under way. */
function closeWith(dialog, form) {
  dialog.querySelector(".close").addEventListener("click", () => {
    if (!isBusy(form)) dialog.close();
  });
  dialog.addEventListener("cancel", (event) => {
    if (isBusy(form)) event.preventDefault();
  });
}

function showText(element, { title, description, completed }) {
  element.querySelector(".title").textContent = title;
  const more = element.querySelector(".description");
  more.textContent = description ?? "";
  more.hidden = !description;
  element.classList.toggle("completed", completed);
}

/** A 403 means "no such task" or "another user's", and this task was the user's. */
function isGone(error) {
  return error instanceof Problem && error.status === 403;
}

/** A title, cut to 60 characters. */
function brief(title) {
  const characters = [...title];
  return characters.length > 60 ? `${characters.slice(0, 59).join("")}…` : title;
}

// As a form field normalises it, so that an untouched value does not count as changed.
const inLine = (text) => text.replace(/[\r\n]/g, "");
const inLines = (text) => (text ?? "").replace(/\r\n?/g, "\n");
