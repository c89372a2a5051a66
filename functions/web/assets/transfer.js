// An account's tasks as files: out as JSON and CSV, in from the JSON.

import { Notice } from "./forms.js";
import { LIMITS, isInvisible, isWithin, tagForm } from "./rules.js";

/** What a task is in a file. The first six are what it is made of, and all that an import reads beside the order. */
const FIELDS = ["title", "description", "status", "priority", "due_date", "tags", "created_at", "updated_at"];

/**
 * Tasks as a JSON array, newest first, with the fields of the API: `title`, `description`, `status`, `priority`,
 * `due_date`, `tags`, `created_at`, `updated_at`. Times are in UTC (RFC 3339). `fromJson` reads it.
 */
export function toJson(tasks) {
  const entries = newestFirst(tasks).map((task) => Object.fromEntries(FIELDS.map((field) => [field, task[field]])));
  return `${JSON.stringify(entries, null, 2)}\n`;
}

/**
 * Tasks as CSV (RFC 4180) for spreadsheets, newest first, with the columns of `toJson`.
 *
 * Times are this device's own, since spreadsheets know no zones. It begins with a byte order mark, without which Excel
 * does not take it for UTF-8. A text that a spreadsheet would take for a formula has an apostrophe before it.
 */
export function toCsv(tasks) {
  const rows = newestFirst(tasks).map((task) => [
    asText(task.title),
    asText(task.description ?? ""),
    task.status,
    task.priority ?? "",
    localTime(task.due_date),
    asText(task.tags.join(", ")),
    localTime(task.created_at),
    localTime(task.updated_at),
  ]);
  return `\ufeff${[FIELDS, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("")}`;
}

/** As the API lists them. Its times are in order as texts. */
function newestFirst(tasks) {
  return [...tasks].sort((a, b) => byText(b.created_at, a.created_at));
}

const byText = (a, b) => (a < b ? -1 : Number(a > b));

const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

/** OWASP, "CSV injection". */
const asText = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);

/** `2026-03-01 17:00:00`: spreadsheets of every language take it for a time. */
function localTime(iso) {
  if (!iso) return "";
  const time = new Date(iso);
  return `${localDay(time)} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":")}`;
}

/** `2026-03-01`, here. */
function localDay(time) {
  return [String(time.getFullYear()).padStart(4, "0"), twoDigits(time.getMonth() + 1), twoDigits(time.getDate())].join("-");
}

const twoDigits = (number) => String(number).padStart(2, "0");

/** Has the browser save a text as a file of today's name, and returns that name. */
export function save(text, extension, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `tasks-${localDay(new Date())}.${extension}`;
  link.click();
  // Some browsers begin to read it only later.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}

/** The text of a file in UTF-8, or in UTF-16 with a byte order mark, as PowerShell writes it. Throws a Notice. */
export async function textOf(file) {
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Notice("This file could not be read.");
  }
  const mark = (bytes[0] << 8) | bytes[1];
  const encoding = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Notice(NO_TASKS);
  }
}

const NO_TASKS = "This file is not a list of tasks. Choose one that “Export as JSON” has made.";

/**
 * Reads what `toJson` has written, or answers of the API: an array of tasks, or an object with one as `tasks`.
 *
 * Returns `{ tasks, refused }`: the values of new tasks, oldest first, so that they make the same list; and what the API
 * would refuse, as `{ number, title, reasons }`, counted from 1. Throws a Notice when it is something else.
 */
export async function fromJson(text) {
  const [read, refused] = [[], []];
  await inSlices(entriesIn(text), (entry, index) => {
    const { values, reasons } = parse(entry);
    if (reasons.length === 0) read.push({ values, text: entry.created_at, time: timeOf(entry.created_at) });
    else refused.push({ number: index + 1, title: typeof entry?.title === "string" ? entry.title : "", reasons });
  });
  // A list is newest first unless it says otherwise.
  read.reverse();
  if (!read.some(({ time }) => isNaN(time))) read.sort((a, b) => a.time - b.time || byText(a.text, b.text));
  return { tasks: read.map(({ values }) => values), refused };
}

function entriesIn(text) {
  let document;
  try {
    document = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    throw new Notice(NO_TASKS);
  }
  const entries = Array.isArray(document) ? document : document?.tasks;
  if (!Array.isArray(entries)) throw new Notice(NO_TASKS);
  if (entries.length === 0) throw new Notice("There are no tasks in this file.");
  return entries;
}

/**
 * The set of those `values` that are among `tasks` already, with nothing else in them. Of equal ones, as many are as there
 * are tasks.
 */
export async function compare(values, tasks) {
  const here = new Map();
  const count = (task, change) => {
    const name = identity(task);
    const before = here.get(name) ?? 0;
    here.set(name, before + change);
    return before;
  };
  await inSlices(tasks, (task) => count(task, 1));
  const known = new Set();
  await inSlices(values, (task) => count(task, -1) > 0 && known.add(task));
  return known;
}

/** How long the page may stand still for a part of a long work, in milliseconds. */
const SLICE = 20;

/** Calls `work` with each item and its index. Between them the page draws and listens. */
export async function inSlices(items, work) {
  let [index, end] = [0, performance.now() + SLICE];
  for (const item of items) {
    work(item, index++);
    if (performance.now() < end) continue;
    await new Promise((resolve) => setTimeout(resolve));
    end = performance.now() + SLICE;
  }
}

function identity({ title, description, status, priority, due_date, tags }) {
  const due = due_date ? Date.parse(due_date) : null;
  return JSON.stringify([title.trim(), description || null, status, priority ?? null, due, normalised(tags)]);
}

// ---- the rules of the API, per task

const STATUSES = ["pending", "in_progress", "completed"];

/** U+0000, which the database does not hold, and halves of characters, which JSON does not. */
const UNKEPT = /[\0\p{Surrogate}]/u;

/** A task's values, and why it cannot be: none when it can. */
function parse(entry) {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return { reasons: ["It is not a task."] };
  const reasons = [];
  const rule = (holds, reason) => holds || reasons.push(reason);
  const { title, description = null, priority = null, due_date = null, completed = null } = entry;
  const status = entry.status ?? (completed === true ? "completed" : "pending");
  const tags = entry.tags ?? [];
  const texts = [title, description, tags].flat();

  if (typeof title !== "string" || isInvisible(title)) reasons.push("The title is missing.");
  else rule(isWithin(title.trim(), LIMITS.title), "The title has more than 500 characters.");
  if (description !== null && typeof description !== "string") reasons.push("The description is not a text.");
  else rule(isWithin(description ?? "", LIMITS.description), "The description has more than 5,000 characters.");
  if (!STATUSES.includes(status)) reasons.push("The status is not pending, in_progress or completed.");
  else rule(completed === null || completed === (status === "completed"), "“completed” and “status” disagree.");
  rule(priority === null || [1, 2, 3, 4].includes(priority), "The priority is not 1, 2, 3 or 4.");
  rule(due_date === null || !isNaN(timeOf(due_date)), "The due date is not a time such as 2026-03-01T17:00:00+01:00.");
  reasons.push(...faultsOf(tags));
  rule(!texts.some((text) => UNKEPT.test(text)), "It has characters that cannot be kept.");
  if (reasons.length > 0) return { reasons };
  const due = due_date === null ? null : inUtc(due_date);
  return { reasons, values: { title: title.trim(), description, status, priority, due_date: due, tags: normalised(tags) } };
}

function faultsOf(tags) {
  if (!Array.isArray(tags) || tags.some((tag) => typeof tag !== "string")) return ["The tags are not a list of names."];
  const names = normalised(tags);
  return [
    [names.some(isInvisible), "A tag is empty."],
    [names.some((name) => !isWithin(name, LIMITS.tag)), "A tag has more than 50 characters."],
    [names.some((name) => /[,\p{Cc}]/u.test(name)), "A tag has a comma or a control character."],
    [names.length > LIMITS.tags, "It has more than 20 tags."],
  ].flatMap(([isFault, reason]) => (isFault ? [reason] : []));
}

/** Tags as the API keeps them. */
function normalised(tags) {
  return [...new Set(tags.map(tagForm))].sort();
}

/** A date-time of RFC 3339 in milliseconds since 1970; NaN when it is none, or not within the years 0000 to 9999. */
function timeOf(text) {
  const match = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):\d\d)$/i.exec(text);
  if (!match) return NaN;
  // JavaScript takes 30 February for 2 March.
  const [day, time] = [new Date(match[1]), new Date(text)];
  const isReal = !isNaN(day) && !isNaN(time) && day.toISOString().startsWith(match[1]) && !/^[+-]/.test(time.toISOString());
  return isReal ? time.getTime() : NaN;
}

/** A time as the API writes it, or to the millisecond when it is in another zone. */
function inUtc(text) {
  return text.endsWith("Z") ? text : new Date(text).toISOString();
}
