// The list: its rows, of which those near the screen are drawn, and what can be done with them.

import { Editor } from "./editor.js";
import { sentence } from "./forms.js";
import { shortcut } from "./keys.js";
import { FIELDS, difference, pick } from "./merge.js";
import { Row } from "./row.js";
import { draft, keepDraft } from "./session.js";

const byId = (id) => document.getElementById(id);

/** How many rows are drawn at first, and the length of a list of which all are drawn. */
const CHUNK = 50;
const SHORT = 100;

/** How far beyond the screen rows are drawn, and how near their end may come before others are; in pixels. */
const MARGIN = 1800;
const NEAR = 1200;

/** The height of a row of one line, until rows are seen; in pixels. */
const USUAL_HEIGHT = 45;

/** How long a row stays where it was ticked, so that a second click does not meet the next one; in milliseconds. */
const LINGER_MS = 600;

/** The keys that may be held down. */
const MOVES = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "j", "k"];

/** The text of an empty list, by what is shown. */
const NOTHING = {
  "": "Nothing here yet. Add your first task.",
  todo: "Nothing left to do.",
  in_progress: "Nothing is in progress.",
  done: "Nothing is done yet.",
};

/** Safari does not keep the scroll place by itself. */
const ANCHORS = CSS.supports("overflow-anchor", "auto");

/**
 * The list of a replica's tasks. `undo` is the Undo bar; `onShowAll` is called when nothing matches and the person wants
 * everything.
 */
export function taskList(replica, { undo, onShowAll }) {
  const [list, nothing, failure] = ["tasks", "nothing", "list-failure"].map(byId);
  /** As high as the rows that are not drawn. */
  const [before, after] = ["div", "div"].map((name) => document.createElement(name));
  list.before(before);
  list.after(after);

  /** The tasks to show, in their order; their places in it by key; and the choices that led to them, as JSON. */
  let tasks = [];
  let places = new Map();
  let view = "{}";
  /** The rows of the tasks from `first` to before `last` are drawn, and some others: see `toDraw`. */
  let [first, last] = [0, CHUNK];
  const rows = new Map();
  /** Their keys from top to bottom. */
  let order = [];
  /** The heights of rows by key, as they were when last drawn. */
  const heights = new Map();
  /** The row that Tab comes to. */
  let current = null;
  /** `{ key, task, editor, opener }`: the open editor, the task it shows, and what had the focus before. */
  let editing = null;
  let isRestored = false;
  /** The keys of rows that stay a moment. */
  const lingering = new Set();
  /** The key of a task that gets the focus as soon as it is shown. */
  let awaited = null;

  // ---- drawing
  //
  // Only rows near the screen are in the page, however many tasks there are: a browser's work for a frame grows with the
  // rows, seen or not. Above and below them is as much space as the others take.

  function draw() {
    if (editing) followEdited();
    measure();
    const focused = rowOf(document.activeElement);
    const drawn = toDraw(focused);
    const keys = new Set(drawn.map(({ key }) => key));
    const heir = focused && !keys.has(focused.key) ? neighbour(focused, keys) : undefined;
    const anchor = ANCHORS || scrollY === 0 ? undefined : firstVisible(keys);
    const top = anchor?.element.getBoundingClientRect().top;

    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      rows.delete(key);
    }
    place(drawn);
    order = [...keys];
    before.style.height = `${heightOf(0, first)}px`;
    after.style.height = `${heightOf(last, tasks.length)}px`;
    const isPart = order.length < tasks.length;
    for (const [key, row] of rows) row.number(isPart && places.has(key) ? places.get(key) + 1 : null, tasks.length);
    if (!rows.has(current)) setCurrent((heir ?? firstVisible(keys))?.key ?? order[0] ?? null);
    tell();

    if (anchor) scrollBy(0, anchor.element.getBoundingClientRect().top - top);
    if (heir !== undefined) (heir ?? byId("desk-heading")).focus();
    if (awaited !== null) meet();
    requestAnimationFrame(follow);
  }

  /** Draws what is near the screen, when the drawn rows end there. */
  function follow() {
    const isShort = tasks.length <= SHORT;
    const { top, bottom } = list.getBoundingClientRect();
    const isDrawnAbove = first === 0 || (!isShort && top < -NEAR);
    const isDrawnBelow = last >= tasks.length || (!isShort && bottom > innerHeight + NEAR);
    if (isDrawnAbove && isDrawnBelow) return;
    measure();
    const [from, to] = isShort ? [0, SHORT] : nearScreen();
    if (from === first && to === last) return;
    [first, last] = [from, to];
    draw();
  }

  /** The first place near the screen, and the first one beyond. */
  function nearScreen() {
    let y = before.getBoundingClientRect().top;
    let place = 0;
    while (place < tasks.length && y + height(tasks[place]) < -MARGIN) y += height(tasks[place++]);
    const from = place;
    while (place < tasks.length && y < innerHeight + MARGIN) y += height(tasks[place++]);
    return [from, place];
  }

  function measure() {
    for (const [key, row] of rows) {
      const { height } = row.element.getBoundingClientRect();
      // Nothing has a height while the list is hidden.
      if (height > 0) heights.set(key, height);
    }
  }

  const height = ({ key }) => heights.get(key) ?? USUAL_HEIGHT;

  /** The height of the rows that are not drawn, of the tasks between these places. */
  function heightOf(from, to) {
    let sum = 0;
    for (const task of tasks.slice(from, to)) if (!rows.has(task.key)) sum += height(task);
    return sum;
  }

  addEventListener("scroll", follow, { passive: true });
  addEventListener("resize", () => {
    heights.clear();
    follow();
  });
  addEventListener("beforeprint", () => {
    [first, last] = [0, tasks.length];
    draw();
  });
  addEventListener("afterprint", () => {
    [first, last] = nearScreen();
    draw();
  });

  /** Brings the rows into this order, and touches only what has changed. */
  function place(drawn) {
    const now = new Date();
    const pinned = rowOf(document.activeElement)?.element;
    let at = list.firstElementChild;
    for (const task of drawn) {
      const row = rows.get(task.key) ?? newRow(task.key);
      row.update(task, now);
      row.setEditor(editing?.key === task.key ? editing.editor : null);
      const { element } = row;
      // What is moved loses the focus: the others make way. So they do where it is one that has moved down.
      if (element === pinned || (at !== pinned && at?.nextElementSibling === element)) {
        while (at !== element) {
          const next = at.nextElementSibling;
          list.append(at);
          at = next;
        }
      }
      if (element === at) at = at.nextElementSibling;
      else list.insertBefore(element, at);
    }
  }

  function newRow(key) {
    const row = new Row(key);
    rows.set(key, row);
    return row;
  }

  /** The tasks whose rows are drawn: those near the screen, and those that are in use. */
  function toDraw(focused) {
    // In their places, but far away.
    const used = [...new Set([focused?.key, editing?.key])].map((key) => places.get(key)).sort((a, b) => a - b);
    const [above, below] = [used.filter((place) => place < first), used.filter((place) => place >= last)];
    const at = (place) => tasks[place];
    const drawn = [...above.map(at), ...tasks.slice(first, last), ...below.map(at)];
    // Not among the tasks any more: after what they came after.
    const kept = [...lingering].map((key) => replica.tasks.get(key));
    for (const task of [...kept, editing?.task]) {
      if (!task || places.has(task.key)) continue;
      const earlier = new Set(order.slice(0, Math.max(order.indexOf(task.key), 0)));
      drawn.splice(drawn.findLastIndex(({ key }) => earlier.has(key)) + 1, 0, task);
    }
    return drawn;
  }

  /** Says why there is nothing to see. */
  function tell() {
    const { loadError, isComplete } = replica;
    if (!isComplete && loadError === null) list.setAttribute("aria-busy", "true");
    else list.removeAttribute("aria-busy");
    failure.hidden = loadError === null;
    if (loadError !== null) failure.querySelector("p").textContent = sentence(loadError);
    nothing.hidden = rows.size > 0 || !isComplete;
    if (nothing.hidden) return;
    const { isFiltered, show } = JSON.parse(view);
    const isEmpty = replica.tasks.size === 0;
    const isNarrow = isFiltered && !isEmpty;
    nothing.querySelector("p").textContent = isNarrow ? "Nothing matches." : NOTHING[(!isEmpty && show) || ""];
    nothing.querySelector("button").hidden = !isNarrow;
  }
  nothing.querySelector("button").addEventListener("click", () => onShowAll());
  failure.querySelector("button").addEventListener("click", () => replica.sync());

  // "Today" and "overdue" come with time.
  const refresh = () => document.visibilityState === "visible" && rows.forEach((row) => row.refresh(new Date()));
  setInterval(refresh, 60_000);
  document.addEventListener("visibilitychange", refresh);

  // ---- the focus

  const rowOf = (element) => rows.get(element?.closest?.(".task")?.dataset.key);

  function setCurrent(key) {
    rows.get(current)?.setCurrent(false);
    current = key;
    rows.get(current)?.setCurrent(true);
  }

  /** The row that gets the focus of one that goes; null if there is none. */
  function neighbour(row, keys) {
    for (const step of ["nextElementSibling", "previousElementSibling"]) {
      for (let at = row.element[step]; at !== null; at = at[step]) if (keys.has(at.dataset.key)) return rowOf(at);
    }
    return null;
  }

  function firstVisible(keys) {
    return rowOf([...list.children].find((it) => keys.has(it.dataset.key) && it.getBoundingClientRect().bottom > 0));
  }

  /** A task's row, drawn where it belongs. */
  function rowAt(key) {
    const place = places.get(key);
    if (place < first || place >= last) {
      [first, last] = [Math.max(place - CHUNK, 0), place + CHUNK];
      draw();
    }
    return rows.get(key);
  }

  /** Focuses the row of the task at this place, or at the nearest there is. */
  function moveTo(place) {
    const task = tasks[Math.min(Math.max(place, 0), tasks.length - 1)];
    if (task) rowAt(task.key).focus();
  }

  /** Focuses the row below (1) or above (-1). */
  function moveBy(row, step) {
    if (places.has(row.key)) moveTo(places.get(row.key) + step);
    else rowOf(step > 0 ? row.element.nextElementSibling : row.element.previousElementSibling)?.focus();
  }

  /** Focuses a task's row now, or when it is shown. */
  function awaitRow(key) {
    awaited = key;
    meet();
  }

  function meet() {
    const key = awaited;
    if (!places.has(key) && !rows.has(key)) return;
    awaited = null;
    const row = rowAt(key);
    if (!row.element.contains(document.activeElement)) row.focus();
    row.element.scrollIntoView({ block: "nearest" });
  }

  for (const event of ["keydown", "pointerdown"]) {
    document.addEventListener(event, () => (awaited = null), { capture: true });
  }
  list.addEventListener("focusin", ({ target }) => setCurrent(rowOf(target).key));

  // ---- what can be done

  /** Ticks a task, or takes the tick away. */
  function tick({ key, task }) {
    const revert = replica.update(key, { status: task.completed ? "pending" : "completed" });
    offer(task.completed ? "To do again" : "Done", task, revert);
  }

  function remove(row) {
    row.focusInPlace();
    offer("Deleted", row.task, replica.remove(row.key));
  }

  function offer(what, { key, title }, revert) {
    undo.offer(`${what}: ${brief(title)}`, () => {
      revert();
      awaitRow(key);
    });
  }

  /** Drops what the server refused. The words can be had back. */
  function discard({ key, task }) {
    const mine = pick(task, FIELDS);
    replica.discard(key);
    undo.offer(`Discarded: ${brief(task.title)}`, () => {
      const now = replica.tasks.get(key);
      if (now) replica.update(key, difference(now, mine));
      awaitRow(now ? key : replica.create(mine));
    });
  }

  const ACTIONS = {
    edit: (row, button) => edit(row.task, { opener: button }),
    delete: remove,
    retry: ({ key }) => replica.retry(key),
    discard,
    mine: ({ key }) => replica.resolve(key, "mine"),
    theirs: ({ key }) => replica.resolve(key, "theirs"),
  };

  list.addEventListener("click", ({ target, detail }) => {
    const row = rowOf(target);
    const button = target.closest("[data-do]");
    if (target === row.check) {
      // By a pointer: keys have no count.
      if (detail > 0) linger(row);
      tick(row);
    } else if (button) {
      // Some browsers do not focus what is clicked.
      if (!button.contains(document.activeElement)) row.focusInPlace();
      ACTIONS[button.dataset.do](row, button);
    } else if (target.closest(".words") && getSelection().isCollapsed) {
      row.focusInPlace();
    }
  });

  function linger(row) {
    row.focusInPlace();
    lingering.add(row.key);
    setTimeout(() => lingering.delete(row.key) && draw(), LINGER_MS);
  }

  list.addEventListener("dblclick", ({ target }) => {
    if (!target.closest(".words")) return;
    getSelection().removeAllRanges();
    edit(rowOf(target).task);
  });

  list.addEventListener("keydown", (event) => {
    const key = shortcut(event);
    const row = rowOf(event.target);
    if (key === null || event.target.closest(".editor")) return;
    const action = actionOf(key, row, event.target);
    if (action === undefined) return;
    event.preventDefault();
    if (!event.repeat || MOVES.includes(key)) action();
  });

  function actionOf(key, row, target) {
    const isRtl = getComputedStyle(list).direction === "rtl";
    switch (key) {
      case "ArrowDown":
      case "j":
        return () => moveBy(row, 1);
      case "ArrowUp":
      case "k":
        return () => moveBy(row, -1);
      case "Home":
        return () => moveTo(0);
      case "End":
        return () => moveTo(Infinity);
      case "ArrowRight":
        return () => row.focusBeside(target, isRtl ? -1 : 1);
      case "ArrowLeft":
        return () => row.focusBeside(target, isRtl ? 1 : -1);
      case "x":
        return () => tick(row);
      case "Enter":
        // A button does what it does.
        return target === row.check ? () => edit(row.task) : undefined;
      case "e":
        return () => edit(row.task);
      case "Delete":
      case "Backspace":
      case "#":
        return () => remove(row);
    }
  }

  // ---- editing

  /** Turns a row into its form; one that is open before is saved. */
  function edit(task, { written = { was: task }, opener = null } = {}) {
    if (editing?.key !== task.key) {
      if (editing && !editing.editor.save()) return;
      open(task, written, opener);
      awaited = null;
      draw();
    }
    editing.editor.focus();
  }

  function open(task, written, opener) {
    const { key } = task;
    const keep = () => keepDraft("edit", editor.isWritten ? JSON.stringify(editor.draft) : null);
    const editor = new Editor(written, { names: knownTags, keep, onSave: save, onCancel: cancel });
    editing = { key, task, editor, opener };
    // With what it is now.
    editor.follow(replica.tasks.get(key) ?? null);
    keep();
  }

  function followEdited() {
    const { key, task, editor } = editing;
    const now = replica.tasks.get(key);
    if (now === task) return;
    if (now) editing.task = now;
    editor.follow(now ?? null);
    if (!now && !editor.isWritten) close();
  }

  function close() {
    const { key, opener } = editing;
    const row = rows.get(key);
    const hasFocus = row?.element.contains(document.activeElement);
    keepDraft("edit", null);
    editing = null;
    row?.setEditor(null);
    if (!hasFocus) return;
    if (opener?.isConnected) opener.focus();
    else row.focus();
  }

  function cancel() {
    const { task, editor } = editing;
    const written = editor.isWritten ? editor.draft : null;
    close();
    draw();
    if (written) undo.offer("Changes discarded.", () => edit(replica.tasks.get(task.key) ?? task, { written }));
  }

  function save(changes, was) {
    const { key, editor } = editing;
    const isGone = editor.isGone;
    close();
    draw();
    if (isGone) awaitRow(replica.create({ ...pick(was, FIELDS), ...changes }));
    else if (Object.keys(changes).length > 0) {
      offer("Saved", { key, title: changes.title ?? was.title }, replica.update(key, changes, was));
      awaited = key;
    }
  }

  /** The tags in use, the most used first. */
  function knownTags() {
    const counts = new Map();
    for (const { tags } of replica.tasks.values()) for (const name of tags) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  }

  /** Opens the editor again in which something was typed when the page was left. */
  function restore() {
    const text = draft("edit");
    const written = text && JSON.parse(text);
    const here = written && (replica.tasks.get(written.was.key) ?? tasks.find(({ id }) => id && id === written.was.id));
    isRestored = !written || here || replica.isComplete;
    if (written && isRestored) open(here ?? written.was, written, null);
  }

  return {
    /**
     * Shows these tasks. `show` is the status they were chosen by, `isFiltered` whether anything else excludes tasks; when
     * any of what is given changes, the list begins at its top again.
     */
    show(next, choices = {}) {
      const chosen = JSON.stringify(choices);
      const isSameView = chosen === view;
      const old = places;
      view = chosen;
      tasks = next;
      places = new Map(tasks.map(({ key }, index) => [key, index]));
      // Others may have come or gone above those that are drawn.
      const anchor = isSameView ? order.find((key) => old.get(key) >= first && places.has(key)) : undefined;
      const moved = first > 0 ? places.get(anchor) - old.get(anchor) : 0;
      [first, last] = Number.isNaN(moved) ? [0, CHUNK] : [Math.max(first + moved, 0), last + moved];
      if (!isRestored && !replica.isLoading) restore();
      draw();
    },
    /** Moves the focus to the list. */
    focus() {
      (rows.get(current) ?? byId("desk-heading")).focus();
    },
    /** Whether there is unsaved text. */
    get isWriting() {
      return editing?.editor.isWritten ?? false;
    },
    /** Shows nothing; unsaved text is there again when the same person is. */
    suspend() {
      clear();
    },
    /** Shows nothing, and drops unsaved text. */
    forget() {
      clear();
      keepDraft("edit", null);
    },
  };

  function clear() {
    undo.forget();
    editing = awaited = current = null;
    isRestored = false;
    lingering.clear();
    tasks = [];
    places.clear();
    heights.clear();
    [first, last] = [0, CHUNK];
    draw();
  }
}

/** A title, cut to 60 characters. */
function brief(title) {
  const characters = [...title];
  return characters.length > 60 ? `${characters.slice(0, 59).join("")}…` : title;
}
