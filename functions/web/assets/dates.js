// Due dates, in the person's own time zone and language.
//
// A due date without a time is 23:59 of the person's own day: it becomes overdue as the day ends, and the API counts it as
// overdue from then on.

/** The languages the person reads, the preferred first. */
export const languages = supported(globalThis.navigator?.languages ?? []);

// A tag such as "en-US@posix" makes `Intl` throw.
function supported(tags) {
  return tags.filter((tag) => {
    try {
      return Intl.DateTimeFormat.supportedLocalesOf(tag).length > 0;
    } catch {
      return false;
    }
  });
}

// In UTC, and given local times as if they were UTC: the zone of a page that stays open may change.
const format = (options) => new Intl.DateTimeFormat(languages, { ...options, timeZone: "UTC" });
const weekday = format({ weekday: "long" });
const dayOfYear = format({ day: "numeric", month: "short" });
const day = format({ day: "numeric", month: "short", year: "numeric" });
const clock = format({ timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(languages, { numeric: "auto" });

/** The language of the texts below, for the `lang` of what shows them. */
export const language = day.resolvedOptions().locale;

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** The local date and time as if they were UTC, in milliseconds. */
function asUtc(date) {
  const utc = new Date(0);
  utc.setUTCFullYear(date.getFullYear(), date.getMonth(), date.getDate());
  return utc.setUTCHours(date.getHours(), date.getMinutes());
}

/** The number of days from `now` to `date`, by the calendar: 1 is tomorrow, whatever the hour. */
function daysBetween(now, date) {
  return Math.floor(asUtc(date) / DAY) - Math.floor(asUtc(now) / DAY);
}

/** Local midnight of a day, or the first moment of a day that has no midnight; null if there is no such day. */
export function dayOf(year, month, dayOfMonth) {
  const date = new Date(2000, month - 1, dayOfMonth);
  date.setFullYear(year, month - 1, dayOfMonth);
  return date.getMonth() === month - 1 && date.getDate() === dayOfMonth ? date : null;
}

/** The first moment of the day that is `days` after a date's. */
export function startOfDay(date, days = 0) {
  const start = new Date(date);
  start.setHours(0, 0, 0, 0);
  start.setDate(start.getDate() + days);
  // Again: the first day may have had no midnight.
  start.setHours(0, 0, 0, 0);
  return start;
}

/** The last minute of a date's day. */
export function endOfDay(date) {
  return new Date(startOfDay(date, 1) - MINUTE);
}

/** A time as the API writes it; null if its year, in UTC, is none of the API's (0 to 9999). */
export function toIso(date) {
  const isKept = date.getUTCFullYear() >= 0 && date.getUTCFullYear() <= 9999;
  return isKept ? date.toISOString().replace("Z", "000Z") : null;
}

const isDayAlone = (date) => date.getHours() === 23 && date.getMinutes() === 59;

/** When a task is due: "today", "tomorrow 17:00", "Friday", "12 Mar", "12 Mar 2027". */
export function dueText(iso, now = new Date()) {
  const date = new Date(iso);
  const text = nearDay(date, now);
  return isDayAlone(date) ? text : `${text} ${clock.format(asUtc(date))}`;
}

function nearDay(date, now) {
  const days = daysBetween(now, date);
  if (Math.abs(days) <= 1) return relative.format(days, "day");
  if (days > 1 && days < 7) return weekday.format(asUtc(date));
  return (date.getFullYear() === now.getFullYear() ? dayOfYear : day).format(asUtc(date));
}

/** The day of a time, with its year: "12 Mar 2027". */
export function dayText(iso) {
  return day.format(asUtc(new Date(iso)));
}

/** "overdue"; "today"; "soon" on the six days after; "" for any other task, and one that is completed. */
export function dueState({ due_date, completed }, now = new Date()) {
  if (!due_date || completed) return "";
  const date = new Date(due_date);
  if (date < now) return "overdue";
  const days = daysBetween(now, date);
  return days === 0 ? "today" : days < 7 ? "soon" : "";
}

/** The values of a date and a time field. The time is empty for a day alone; both are for null, and before the year 1. */
export function toFields(iso) {
  const date = iso && new Date(iso);
  if (!date || date.getFullYear() < 1 || date.getFullYear() > 9999) return { date: "", time: "" };
  const [days, time] = new Date(asUtc(date)).toISOString().split("T");
  return { date: days, time: isDayAlone(date) ? "" : time.slice(0, 5) };
}

/** The due date of two fields; null without a date, or with one that the API does not keep. */
export function fromFields(date, time) {
  const [year, month, dayOfMonth] = date.split("-").map(Number);
  const start = dayOf(year, month, dayOfMonth);
  if (!start) return null;
  return toIso(time ? atTime(start, ...time.split(":").map(Number)) : endOfDay(start));
}

/** A time of a date's day. One that the clocks skip becomes the same time after they did. */
export function atTime(date, hours, minutes) {
  const time = startOfDay(date);
  time.setHours(hours, minutes);
  return time;
}
