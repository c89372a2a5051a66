// What of the tasks is shown, and how the address says so. Filters and order are the API's (*Lists* in the contract); search
// also looks into tags, and does without accents.

import { startOfDay } from "./dates.js";
import { LIMITS, tagName } from "./rules.js";

const SHOW = ["todo", "in_progress", "done"];
const DUE = ["overdue", "today", "week", "none"];

/** The default first. */
const SORTS = [
  "-created_at",
  "created_at",
  "due_date",
  "-due_date",
  "priority",
  "-priority",
  "-updated_at",
  "updated_at",
];

/** The address's parameters that are the view's. Any other is somebody else's. */
export const PARAMETERS = ["show", "q", "tag", "due", "priority", "sort"];

/** The view that the query of an address names. What is unknown in it is ignored. */
export function readView(search) {
  const query = new URLSearchParams(search);
  const one = (name, known) => known.find((value) => value === query.get(name));
  const several = (name) => query.getAll(name).flatMap((text) => text.split(","));
  return {
    show: one("show", SHOW) ?? "",
    q: query.get("q")?.trim() ?? "",
    tags: [...new Set(several("tag").map(tagName))].filter((name) => name !== "").slice(0, LIMITS.tags),
    due: one("due", DUE) ?? "",
    priority: [1, 2, 3, 4].filter((number) => several("priority").includes(String(number))),
    sort: one("sort", SORTS) ?? SORTS[0],
  };
}

/** The query of a view's address: "" for the default one. */
export function writeView({ show, q, tags, due, priority, sort }) {
  const query = new URLSearchParams();
  const add = (name, value) => value && query.append(name, value);
  add("show", show);
  add("q", q.trim());
  for (const name of tags) add("tag", name);
  add("due", due);
  for (const number of priority) add("priority", number);
  add("sort", sort === SORTS[0] ? "" : sort);
  const text = query.toString();
  return text && `?${text}`;
}

/** The tasks of a view, in its order. `tasks` maps keys to tasks. */
export function select(tasks, view, now = new Date()) {
  const conditions = Object.values(conditionsOf(view, now)).filter((condition) => condition !== null);
  const found = [];
  for (const task of tasks.values()) {
    const facts = factsOf(task);
    if (conditions.every((condition) => condition(facts))) found.push(facts);
  }
  return sorted(found, view.sort);
}

/**
 * How many tasks there are for each choice that a view offers: those that would be shown if it was made, with all other
 * choices as they are.
 *
 * `all`, `todo`, `in_progress` and `done` are those of `show`; `due` and `priority` are objects, and `tags` has a pair of a
 * name and its number for every tag in use, by name. `left` is the number of all tasks that are not done.
 */
export function counts(tasks, view, now = new Date()) {
  const { show, due, priority, ...others } = conditionsOf(view, now);
  const rest = Object.values(others).filter((condition) => condition !== null);
  const dueNow = DUE.map((name) => [name, byDue(name, now)]);
  const result = { all: 0, todo: 0, in_progress: 0, done: 0, left: 0, due: {}, priority: { 1: 0, 2: 0, 3: 0, 4: 0 } };
  for (const name of DUE) result.due[name] = 0;
  const tags = new Map(view.tags.map((name) => [name, 0]));
  for (const task of tasks.values()) {
    const facts = factsOf(task);
    if (!task.completed) result.left += 1;
    const isFound = rest.every((condition) => condition(facts));
    const isShown = show === null || show(facts);
    const isDue = due === null || due(facts);
    const isUrgent = priority === null || priority(facts);
    if (isFound && isDue && isUrgent) {
      result.all += 1;
      result[task.completed ? "done" : "todo"] += 1;
      if (task.status === "in_progress") result.in_progress += 1;
    }
    if (isFound && isShown && isUrgent) {
      for (const [name, condition] of dueNow) if (condition(facts)) result.due[name] += 1;
    }
    if (isFound && isShown && isDue && task.priority) result.priority[task.priority] += 1;
    const found = isFound && isShown && isDue && isUrgent ? 1 : 0;
    for (const name of task.tags) tags.set(name, (tags.get(name) ?? 0) + found);
  }
  result.tags = [...tags].sort(([a], [b]) => (a < b ? -1 : 1));
  return result;
}

// ---- what is computed from a task, once: tasks are never mutated

const known = new WeakMap();

function factsOf(task) {
  let facts = known.get(task);
  if (facts === undefined) known.set(task, (facts = new Facts(task)));
  return facts;
}

class Facts {
  #text;
  #created;

  constructor(task) {
    this.task = task;
    /** In milliseconds; null without one. */
    this.due = task.due_date ? timeOf(task.due_date) : null;
  }

  /** What a search looks into. Words have no white space, so none is found across title and description. */
  get text() {
    const { title, description, tags } = this.task;
    return (this.#text ??= fold(`${title}\n${description ?? ""}\n${tags.map((name) => `#${name}`).join("\n")}`));
  }

  // What is not sent yet will be newer than all that is, in the order of the queue. The ids of changes are microseconds, which
  // are more than any time in milliseconds.

  get created() {
    const { id, queued, created_at } = this.task;
    return (this.#created ??= id === null ? queued[0] : timeOf(created_at));
  }

  get updated() {
    return this.task.queued.at(-1) ?? timeOf(this.task.updated_at);
  }
}

/** A time in milliseconds, with the API's microseconds as a fraction, which `Date.parse` drops. */
function timeOf(text) {
  return Date.parse(text) + (text.length === 27 ? Number(text.slice(23, 26)) / 1000 : 0);
}

/** In lower case, and without accents: more is found than by the API's search, and nothing less. */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ς", "σ");
}

// ---- filters

/** A function of a task's facts for each part of a view; null for one that keeps all. The cheap ones come first. */
function conditionsOf({ show, due, priority, tags, q }, now) {
  const words = fold(q)
    .split(/\p{White_Space}+/u)
    .filter((word) => word !== "");
  return {
    show: byShow(show),
    due: byDue(due, now),
    priority: priority.length === 0 ? null : ({ task }) => priority.includes(task.priority),
    tags: tags.length === 0 ? null : ({ task }) => tags.every((name) => task.tags.includes(name)),
    words: words.length === 0 ? null : ({ text }) => words.every((word) => text.includes(word)),
  };
}

function byShow(show) {
  switch (show) {
    case "todo":
      return ({ task }) => !task.completed;
    case "in_progress":
      return ({ task }) => task.status === "in_progress";
    case "done":
      return ({ task }) => task.completed;
    default:
      return null;
  }
}

/** "overdue" is not done and due before now; "today" is any time of this day, "week" is this day and the six after it. */
function byDue(name, now) {
  const [time, today, tomorrow, end] = [now, ...[0, 1, 7].map((days) => startOfDay(now, days))].map(Number);
  switch (name) {
    case "overdue":
      return ({ due, task }) => due !== null && due < time && !task.completed;
    case "today":
      return ({ due }) => due !== null && due >= today && due < tomorrow;
    case "week":
      return ({ due }) => due !== null && due >= today && due < end;
    case "none":
      return ({ due }) => due === null;
    default:
      return null;
  }
}

// ---- order

const VALUES = {
  created_at: (facts) => facts.created,
  updated_at: (facts) => facts.updated,
  due_date: (facts) => facts.due,
  priority: (facts) => facts.task.priority,
};

/** By the sort's value and then by id, in its direction; what has no value comes last in both. */
function sorted(found, sort) {
  const isDescending = sort.startsWith("-");
  const valueOf = VALUES[isDescending ? sort.slice(1) : sort];
  const [valued, others] = [[], []];
  for (const facts of found) {
    const value = valueOf(facts) ?? null;
    (value === null ? others : valued).push({ task: facts.task, value });
  }
  const compare = (a, b) => (a.value === b.value ? compareIds(a, b) : a.value < b.value ? -1 : 1);
  const order = isDescending ? (a, b) => compare(b, a) : compare;
  return [...valued.sort(order), ...others.sort(order)].map(({ task }) => task);
}

/** A task without an id yet comes after all others, and after those that will be created before it. */
function compareIds(a, b) {
  const [isNewA, isNewB] = [a.task.id === null, b.task.id === null];
  if (isNewA || isNewB) return isNewA - isNewB || a.task.queued[0] - b.task.queued[0];
  return a.task.id < b.task.id ? -1 : 1;
}
