// Three-way merge of a task: what the person saw, what the person made of it, and what it is now.

/** What a person may change of a task. */
export const FIELDS = ["title", "description", "status", "priority", "due_date", "tags"];

/** Whether two values of a field are the same: dates as points in time, tags as sets. */
export function same(field, a, b) {
  if (field === "due_date" && a && b) return Date.parse(a) === Date.parse(b);
  if (field === "tags") return [...a].sort().join() === [...b].sort().join();
  return a === b;
}

/** The fields of `to` that differ from `from`. */
export function difference(from, to) {
  return Object.fromEntries(Object.entries(to).filter(([field, value]) => !same(field, from[field], value)));
}

/** The fields that were changed both here (`was` to `changes`) and elsewhere (`was` to `now`), to different values. */
export function collisions(changes, was, now) {
  const isMoved = (field) => !same(field, was[field], now[field]) && !same(field, changes[field], now[field]);
  // Tags are a set: what was added and removed here is added and removed there.
  return Object.keys(changes).filter((field) => field !== "tags" && isMoved(field));
}

/** `now` with `changes`; tags that were added or removed elsewhere meanwhile stay so. */
export function merged(changes, was, now) {
  const task = { ...now, ...changes };
  if (changes.tags) {
    const added = changes.tags.filter((tag) => !was.tags.includes(tag));
    const removed = was.tags.filter((tag) => !changes.tags.includes(tag));
    task.tags = [...new Set([...now.tags, ...added])].filter((tag) => !removed.includes(tag)).sort();
  }
  task.completed = task.status === "completed";
  return task;
}

export function pick(task, fields) {
  return Object.fromEntries(fields.map((field) => [field, task[field]]));
}
