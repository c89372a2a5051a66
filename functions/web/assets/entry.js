// Quick entry: what the words of a new task say about its date, time, tags and priority.
//
// Only whole words count, in any case, anywhere in the text:
//
// - A day: "today", "tonight", "tomorrow", "tmr"; a weekday, which is the next one after today; "next fri", that day of the
//   week after this one (weeks begin on Monday); "12 Mar", "March 12th", "12 March 2027", "2027-03-12"; "12/3" and "12.3." as
//   the person's first language writes them; "in 3 days", "in a week", "in 2 hours"; "next week" (its Monday), "next month"
//   (its first day). Without a year it is the next such day. "on", "by", "due" and "this" before a day belong to it.
// - A time: "5pm", "17:00", "at 5:30 pm". Without a day it is the next such time.
// - "#home", letters and digits of any script with `-` and `_`, but with a letter: "#123" is a number.
// - "!1" to "!4".
//
// Names of days and months, and words such as "tomorrow", are those of English and of the person's languages (`Intl`). Of
// several days, times or priorities the last counts, and the others stay words. What is as often an ordinary word must stand
// where a date would: "sat", "sun" and the like at the end, after "on" or "by", or before a time; "12/3", which may be a
// fraction, likewise. After "the", "every", "last", "to" and the like, and in ranges ("Mon - Fri"), all are words; so is what
// is between double quotes, and a word after a backslash.

import { atTime, dayOf, endOfDay, languages as own, startOfDay, toIso } from "./dates.js";
import { isInvisible, tagName } from "./rules.js";

/**
 * What a text says: `{ title, due_date, priority, tags, found }`.
 *
 * `found` has what was understood, in the order of the text: `{ kind, text, from, to }`, where `kind` is "date", "time",
 * "tag" or "priority". The title is the rest; if there is none, all of it is the title and nothing was understood. `kept` has
 * texts, in lower case, that the person wants to stay words.
 */
export function parseEntry(text, { now = new Date(), languages = own, kept = new Set() } = {}) {
  const pieces = new Reader(text, now, vocabularyOf(languages)).read(kept);
  const last = (kind) => pieces.findLast((piece) => piece.kind === kind);
  const [date, time, priority] = ["date", "time", "priority"].map(last);
  const isUsed = (piece) => piece.kind === "tag" || [date, priority, date?.value.moment ? null : time].includes(piece);
  const used = pieces.filter(isUsed);
  const title = without(pieces.filter((piece) => piece.kind === "escape" || isUsed(piece)), text);
  if (isInvisible(title)) return { title: text.trim(), due_date: null, priority: null, tags: [], found: [] };
  return {
    title,
    due_date: date || time ? toIso(dueTime(date?.value, time?.value, now)) : null,
    priority: priority?.value ?? null,
    tags: [...new Set(used.filter(({ kind }) => kind === "tag").map(({ value }) => value))],
    found: used.map(({ kind, text, from, to }) => ({ kind, text, from, to })),
  };
}

function dueTime(date, time, now) {
  if (date?.moment) return date.moment;
  if (!time) return endOfDay(date.day);
  if (date) return atTime(date.day, ...time);
  const today = atTime(now, ...time);
  return today > now ? today : atTime(startOfDay(now, 1), ...time);
}

/** The text without the pieces. */
function without(pieces, text) {
  const rest = [];
  let from = 0;
  for (const piece of pieces) {
    rest.push(text.slice(from, piece.from));
    from = piece.to;
  }
  rest.push(text.slice(from));
  let title = rest.map((part) => part.trim()).filter((part) => part !== "").join(" ");
  // "Tomorrow: call mum", "Call mum - tomorrow".
  if (rest.length > 1 && rest[0].trim() === "") title = title.replace(/^[,;:–—-]+\s+/u, "");
  if (rest.length > 1 && rest.at(-1).trim() === "") title = title.replace(/\s*[,;:]+$|\s+[–—-]+$/u, "");
  return title;
}

// ---- words

/** Double quotes of several languages around a text. */
const QUOTED = /(?<!\S)(?:"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»)/gu;

/**
 * The words of a text: `raw`, without a backslash before it and punctuation after it; `word`, which is that in the form of
 * the vocabulary; `hasPause`, whether there is punctuation other than a full stop.
 */
function split(text) {
  const quotes = [...text.matchAll(QUOTED)].map((match) => [match.index, match.index + match[0].length]);
  return [...text.matchAll(/\S+/gu)].map(({ 0: whole, index: from }) => {
    const to = from + whole.length;
    const isEscaped = whole.length > 1 && whole.startsWith("\\");
    const raw = whole.slice(isEscaped ? 1 : 0).replace(/(?<=.)[,;:!.]+$/u, "");
    return {
      raw,
      word: fold(raw),
      whole,
      from,
      to,
      isEscaped,
      isQuoted: quotes.some(([start, end]) => from < end && to > start),
      hasPause: /[,;:!]\.*$/.test(whole),
    };
  });
}

/** Lower case, without the full stops of abbreviations, with ASCII digits. */
function fold(text) {
  return text
    .normalize()
    .toLowerCase()
    .replaceAll("’", "'")
    .replace(/\.(?=\s|$)/gu, "")
    .replace(/[٠-٩۰-۹०-९০-৯０-９]/gu, (digit) => {
      const code = digit.codePointAt(0);
      return code - [0xff10, 0x9e6, 0x966, 0x6f0, 0x660].find((zero) => zero <= code);
    });
}

/** Words that stand between the ends of a range. */
const RANGE = new Set(["-", "–", "—", "to", "till", "until", "bis", "à"]);

/** These are fractions, or a way to say "always", more often than dates. */
const FRACTIONS = new Set(["1/2", "1/3", "2/3", "1/4", "3/4", "24/7"]);

/** Months that are other words as well. */
const UNSURE_MONTHS = new Set(["may", "march"]);

/** Where a phrase has a number; in no word. */
const NUMBER = "\n";

/** Short names of days that are no other words. */
const SURE_WEEKDAYS = { tue: 2, tues: 2, thu: 4, thur: 4, thurs: 4, fri: 5 };

/** Finds the pieces of a text that mean something. */
class Reader {
  constructor(text, now, vocabulary) {
    Object.assign(this, { text, now, vocabulary, tokens: split(text) });
  }

  /** All pieces, in order. What is in `kept`, quoted, escaped or in a range is passed over; a backslash is an "escape". */
  read(kept) {
    const pieces = [];
    for (let at = 0; at < this.tokens.length; ) {
      const found = this.tokens[at].isQuoted ? null : this.pieceAt(at, pieces.at(-1));
      const piece = found && this.located(at, found);
      const range = piece ? this.rangeAt(at, found) : 0;
      const escaped = piece && this.tokens.slice(at, at + found.length).find((token) => token.isEscaped);
      if (escaped) pieces.push({ kind: "escape", from: escaped.from, to: escaped.from + 1 });
      else if (piece && range === 0 && !kept.has(piece.text.toLowerCase())) pieces.push(piece);
      at += range || (found?.length ?? 1);
    }
    return pieces;
  }

  located(at, { kind, value, length }) {
    const [{ from }, { to }] = [this.tokens[at], this.tokens[at + length - 1]];
    return { kind, value, from, to, text: this.text.slice(from, to).replace(/[,;:!]+$/, "") };
  }

  /** `{ kind, value, length in words }`, or null. `before` is the piece before it. */
  pieceAt(at, before) {
    const mark = this.mark(at);
    if (mark || this.isBarred(at, before)) return mark;
    return this.date(at) ?? (this.isAfterForeignDate(at) ? null : this.time(at, this.isAfterDay(at, before)));
  }

  /** "12. März 14:30" of a person whose languages do not have that month: the time is of that day, and of no other. */
  isAfterForeignDate(at) {
    const [day, month] = at < 2 ? [] : this.tokens.slice(at - 2, at);
    return day !== undefined && /^\d{1,2}\.$/.test(this.text.slice(day.from, day.to)) && /^\p{L}+\.?$/u.test(month.raw);
  }

  isAfterDay(at, before) {
    return before?.kind === "date" && this.text.slice(before.to, this.tokens[at].from).trim() === "";
  }

  /** Whether the words before have it that this is no date. */
  isBarred(at, before) {
    const previous = this.tokens[at - 1];
    if (previous === undefined || previous.from < (before?.to ?? 0)) return false;
    const { bars, weekdays } = this.vocabulary;
    return bars.has(previous.word) || (RANGE.has(previous.word) && weekdays.has(this.tokens[at - 2]?.word));
  }

  /** The length of a range that begins with a date or a time here, or 0. */
  rangeAt(at, { kind, length }) {
    const [last, middle, end] = this.tokens.slice(at + length - 1, at + length + 2);
    if ((kind !== "date" && kind !== "time") || !end || !RANGE.has(middle.word)) return 0;
    const other = this[kind](at + length + 1);
    if (other) return length + 1 + other.length;
    // "Mar 12 - 14".
    return /\d/.test(last.word) && /^\d/.test(end.word) ? length + 2 : 0;
  }

  /** A tag or a priority. */
  mark(at) {
    const { raw, isQuoted } = this.tokens[at];
    if (isQuoted) return null;
    if (/^![1-4]$/.test(raw)) return { kind: "priority", value: Number(raw[1]), length: 1 };
    const name = /^#[\p{L}\p{M}\p{N}\p{Cf}_-]*\p{L}[\p{L}\p{M}\p{N}\p{Cf}_-]*$/u.test(raw) ? tagName(raw.slice(1)) : "";
    return name ? { kind: "tag", value: name, length: 1 } : null;
  }

  /** `length` words in a row, or null if they end before, are quoted, or have a pause between them. */
  words(at, length) {
    const tokens = this.tokens.slice(at, at + length);
    const isWhole = tokens.length === length && tokens.every(({ isQuoted }) => !isQuoted);
    return isWhole && tokens.slice(0, -1).every(({ hasPause }) => !hasPause) ? tokens.map(({ word }) => word) : null;
  }

  /** Whether nothing but marks and times come from here on. */
  isEnd(at) {
    if (at >= this.tokens.length) return true;
    const next = this.mark(at) ?? this.time(at, true);
    return next !== null && this.isEnd(at + next.length);
  }

  /** Whether a piece that ends before `end` stands where a date would. */
  isFirm(end) {
    return this.isEnd(end) || this.time(end, true) !== null;
  }

  // ---- days

  date(at) {
    const { on, by, next } = this.vocabulary;
    let lead = 0;
    while (lead < 3 && [on, by, next].some((set) => set.has(this.tokens[at + lead]?.word))) lead += 1;
    for (; lead >= 0; lead -= 1) {
      const words = this.words(at, lead + 1)?.slice(0, lead);
      if (!words) continue;
      const isNext = words.some((word) => next.has(word));
      const found =
        (words.every((word) => by.has(word)) ? this.phrase(at + lead) : null) ??
        (isNext ? null : this.numeric(at + lead, lead > 0) ?? this.dayAndMonth(at + lead, lead > 0)) ??
        this.weekday(at + lead, { isLed: lead > 0, isNext });
      if (found) return { kind: "date", value: found.value, length: lead + found.length };
    }
    return null;
  }

  /** "tomorrow", "next week", "in 3 days". */
  phrase(at) {
    const { phrases, longest } = this.vocabulary;
    for (let length = longest; length > 0; length -= 1) {
      const text = this.words(at, length)?.join(" ");
      const phrase = text && phrases.get(text.replace(/(?<!\d)\d{1,3}(?!\d)/, NUMBER));
      if (!phrase || this.isName(at, phrase)) continue;
      const count = phrase.count ?? Number(/\d+/.exec(text)[0]);
      return { value: later(this.now, count, phrase), length };
    }
    return null;
  }

  /** "Morgen" is a noun where "morgen" is tomorrow. */
  isName(at, phrase) {
    return phrase.isForeign && at > 0 && /^\p{Lu}\p{Ll}/u.test(this.tokens[at].raw) && !/^\p{Lu}/u.test(phrase.form);
  }

  weekday(at, { isLed, isNext }) {
    const token = this.tokens[at];
    const known = token && this.words(at, 1) && this.vocabulary.weekdays.get(token.word);
    if (!known) return null;
    const isPlaced = isLed || this.time(at + 1, true) !== null || (at === 0 && token.hasPause);
    // "so" ends a German sentence; "So" is Sunday.
    const isWritten = known.form.length > 2 || token.raw === known.form;
    if (!known.isSure && !isPlaced && !(isWritten && this.isEnd(at + 1))) return null;
    const today = this.now.getDay();
    const toMonday = 7 - ((today + 6) % 7);
    const days = isNext ? toMonday + ((known.day + 6) % 7) : (known.day - today + 7) % 7 || 7;
    return { value: { day: startOfDay(this.now, days) }, length: 1 };
  }

  /** "12 Mar", "12 de marzo de 2027", "March 12th, 2027". */
  dayAndMonth(at, isLed) {
    const { months, joints } = this.vocabulary;
    const word = (index) => this.tokens[index]?.word;
    const skip = (index) => (joints.has(word(index)) ? index + 1 : index);
    const isDayFirst = /^\d/.test(word(at) ?? "");
    const [dayAt, monthAt] = isDayFirst ? [at, skip(at + 1)] : [at + 1, at];
    const day = Number(/^(\d{1,2})(?:st|nd|rd|th|er|[ºª])?$/.exec(word(dayAt))?.[1]);
    const month = months.get(word(monthAt));
    let end = Math.max(dayAt, monthAt) + 1;
    if (!day || !month || !this.words(at, end - at)) return null;
    // "Call Jan 5 pm".
    if (!isDayFirst && this.plainTime(dayAt) !== null) return null;
    // A comma may come before the year.
    const yearAt = skip(end);
    const written = /^\d{4}$/.test(word(yearAt)) && !this.tokens[yearAt].isQuoted ? yearOf(word(yearAt)) : NaN;
    const year = Number.isNaN(written) ? null : written;
    if (year !== null) end = yearAt + 1;
    const isCapital = isDayFirst && /^\p{Lu}/u.test(this.tokens[monthAt].raw);
    const isSure = !UNSURE_MONTHS.has(word(monthAt)) || isLed || isCapital || year !== null;
    if (!isSure && !this.tokens[end - 1].hasPause && !this.isFirm(end)) return null;
    return this.day(year, month, day, end - at);
  }

  /** "2027-03-12", "12/3/2027", "12/3", "12.3.", "3月12日". */
  numeric(at, isLed) {
    const token = this.tokens[at];
    if (!token || token.isQuoted) return null;
    const { isMonthFirst, hasDots } = this.vocabulary;
    const read = (pattern, text = token.word) => pattern.exec(text)?.groups;
    const day = (parts, month, day) =>
      this.day(parts.year ? yearOf(parts.year) : null, Number(parts[month]), Number(parts[day]), 1);
    const inOrder = (parts) => (isMonthFirst && day(parts, "a", "b")) || day(parts, "b", "a") || day(parts, "a", "b");

    const big =
      read(/^(?<year>\d{4})([-/])(?<a>\d{1,2})\2(?<b>\d{1,2})$/) ??
      read(/^(?<a>\d{1,2})月(?<b>\d{1,2})[日号]$/);
    if (big) return day(big, "a", "b");
    const dots = read(/^(?<a>\d{1,2})\.(?<b>\d{1,2})\.(?<year>\d{4})$/);
    if (dots) return day(dots, "b", "a");
    const short =
      hasDots &&
      (read(/^(?<a>\d{1,2})\.(?<b>\d{1,2})\.(?<year>\d\d)$/) ??
        read(/^(?<a>\d{1,2})\.(?<b>\d{1,2})\.[,;:!]*$/, token.whole));
    if (short) return day(short, "b", "a");
    const full =
      read(/^(?<a>\d{1,2})([-/])(?<b>\d{1,2})\2(?<year>\d{4})$/) ??
      read(/^(?<a>\d{1,2})\/(?<b>\d{1,2})\/(?<year>\d\d)$/);
    if (full) return inOrder(full);
    const parts = read(/^(?<a>\d{1,2})\/(?<b>\d{1,2})$/);
    const isPlaced = () => isLed || this.time(at + 1, true) !== null || (this.isEnd(at + 1) && !FRACTIONS.has(token.word));
    return parts && isPlaced() ? inOrder(parts) : null;
  }

  /** A day, the next one of that name without a year; null if there is none. */
  day(year, month, day, length) {
    if (Number.isNaN(year)) return null;
    const today = startOfDay(this.now);
    const years = year === null ? Array.from({ length: 9 }, (_, index) => today.getFullYear() + index) : [year];
    const days = years.map((each) => dayOf(each, month, day));
    const found = days.find((date) => date !== null && (year !== null || date >= today));
    return found ? { value: { day: found }, length } : null;
  }

  // ---- times

  /** A time. Some forms mean one only after "at", right after a day, or at an end of the text. */
  time(at, isAfterDay = false) {
    const { at: atWords, by } = this.vocabulary;
    let lead = 0;
    while (lead < 2 && [atWords, by].some((set) => set.has(this.tokens[at + lead]?.word))) lead += 1;
    if (lead > 0 && !this.words(at, lead + 1)) return null;
    const found = this.plainTime(at + lead) ?? this.looseTime(at + lead, lead > 0 || isAfterDay);
    return found && { ...found, length: lead + found.length };
  }

  /** "5pm", "5:30 pm", "17:00", "17 Uhr": a time anywhere. */
  plainTime(at) {
    const words = this.words(at, 1);
    if (!words) return null;
    const [word] = words;
    const next = this.words(at, 2)?.[1];
    const half = /^(\d{1,2})(?:[:.](\d\d))?(am|pm|a\.m|p\.m)$/.exec(word);
    if (half) return clock(half[1], half[2], half[3][0], 1);
    const number = /^(\d{1,2})(?:[:.](\d\d))?$/.exec(word);
    if (number && /^(am|pm|a\.m|p\.m)$/.test(next)) return clock(number[1], number[2], next[0], 2);
    if (number && this.vocabulary.hours.has(next)) return clock(number[1], number[2], "", 2);
    return /^\d\d:\d\d$/.test(word) ? clock(number[1], number[2], "", 1) : null;
  }

  /** "9:30", "17.30", "17h30", "noon". */
  looseTime(at, isLed) {
    const word = this.words(at, 1)?.[0];
    const parts = word && /^(\d{1,2})(?:([:.])(\d\d)|h(\d\d)?)$/.exec(word);
    if (parts && (isLed || (parts[2] === ":" && (at === 0 || this.isEnd(at + 1))))) {
      return clock(parts[1], parts[3] ?? parts[4], "", 1);
    }
    return word === "noon" && isLed ? clock(12, 0, "", 1) : null;
  }
}

/** The number of a year that one may plan for; NaN for another. */
function yearOf(text) {
  const year = Number(text.length === 2 ? `20${text}` : text);
  return year >= 1900 && year < 2200 ? year : NaN;
}

/** A time of the day, `[hours, minutes]`; `half` is "a" before noon, "p" after it. */
function clock(hours, minutes, half, length) {
  const [h, m] = [Number(hours), Number(minutes ?? 0)];
  const isValid = m < 60 && (half ? h >= 1 && h <= 12 : h < 24);
  return isValid ? { kind: "time", value: [half ? (h % 12) + (half === "p" ? 12 : 0) : h, m], length } : null;
}

/** A number of units from now: to the minute for hours, else a day. */
function later(now, count, { unit, isNumbered }) {
  const minutes = { minute: count, hour: 60 * count }[unit];
  if (minutes !== undefined) return { moment: new Date((Math.floor(now / 60_000) + minutes) * 60_000) };
  if (unit === "day") return { day: startOfDay(now, count) };
  if (unit === "week") return { day: startOfDay(now, isNumbered ? 7 * count : 7 * count - ((now.getDay() + 6) % 7)) };
  const months = unit === "month" ? count : 12 * count;
  const first = new Date(now.getFullYear(), now.getMonth() + months, 1);
  if (!isNumbered) return { day: unit === "month" ? first : new Date(first.getFullYear(), 0, 1) };
  // The 31st of a month that has none is its last day.
  const last = new Date(first.getFullYear(), first.getMonth() + 1, 0);
  return { day: now.getDate() < last.getDate() ? new Date(first.getFullYear(), first.getMonth(), now.getDate()) : last };
}

// ---- the vocabulary

/**
 * Words around dates, by language: before a day (`on`), a day or a time (`by`), a time (`at`), a weekday of the next week
 * (`next`), and in a date (`joints`); after the number of a time (`hours`); `bars` come before what is no date.
 */
const PARTICLES = {
  en: {
    on: "on this",
    by: "by due",
    at: "at @",
    next: "next",
    joints: "of",
    bars: "the a an every each last past since from to until till black good ash cyber",
  },
  de: {
    on: "am diesen kommenden",
    by: "bis fällig",
    at: "um gegen",
    next: "nächsten nächste nächster",
    hours: "uhr",
    bars: "der die das den dem ein eine jeden jede jeder letzten letzte seit vom guten heute",
  },
  fr: { on: "le ce", by: "avant pour", at: "à", bars: "la les chaque tous dernier depuis du" },
  es: {
    on: "el este próximo",
    by: "para",
    at: "a las la",
    joints: "de",
    bars: "la las los cada por todos último desde ayer",
  },
  it: { on: "il questo prossimo", by: "entro per", at: "alle ore", bars: "la le ogni scorso dal" },
  nl: {
    on: "op aanstaande",
    by: "voor tegen",
    at: "om",
    next: "volgende",
    hours: "uur",
    bars: "de het een elke iedere vorige sinds van",
  },
  pt: {
    on: "no na em este esta próximo próxima",
    by: "para até",
    at: "às as",
    joints: "de",
    bars: "o a cada toda todo último desde",
  },
};

const vocabularies = new Map();

/** The words of English and of a person's languages. Built once: `Intl` is slow to start. */
function vocabularyOf(languages) {
  const key = languages.join();
  if (!vocabularies.has(key)) vocabularies.set(key, build(languages));
  return vocabularies.get(key);
}

function build(languages) {
  const vocabulary = { phrases: new Map(), weekdays: new Map(), months: new Map() };
  const spoken = ["en", ...languages.filter((language) => !/^en\b/.test(language)).slice(0, 3)];
  for (const language of spoken) addNames(vocabulary, language);
  addEnglish(vocabulary);
  vocabulary.longest = Math.max(...[...vocabulary.phrases.keys()].map((text) => text.split(" ").length));
  const particles = new Set(spoken.map((language) => PARTICLES[language.split("-")[0]]).filter(Boolean));
  for (const kind of ["on", "by", "at", "next", "hours", "joints", "bars"]) {
    vocabulary[kind] = new Set([...particles].flatMap((of) => of[kind]?.split(" ") ?? []));
  }
  const order = new Intl.DateTimeFormat(languages, { calendar: "gregory" }).formatToParts(0);
  const place = (type) => order.findIndex((part) => part.type === type);
  vocabulary.isMonthFirst = place("month") < place("day");
  vocabulary.hasDots = order.some(({ type, value }) => type === "literal" && value.includes("."));
  return vocabulary;
}

/** The names of days and months, and the phrases of relative time, in one language. */
function addNames({ phrases, weekdays, months }, language) {
  const isForeign = language !== "en";
  const add = (form, phrase) => {
    if (!phrases.has(fold(form))) phrases.set(fold(form), { ...phrase, isForeign, form });
  };
  const rules = new Intl.PluralRules(language);
  // One number for each plural form of the language.
  const plurals = [...new Map([21, 11, 5, 3, 2, 1].map((number) => [rules.select(number), number])).values()];
  const formatter = (options) => new Intl.DateTimeFormat(language, { ...options, calendar: "gregory", timeZone: "UTC" });
  for (const style of ["long", "short"]) {
    const weekday = formatter({ weekday: style });
    for (let day = 0; day < 7; day += 1) {
      // 1 January 2023 was a Sunday.
      const form = weekday.format(Date.UTC(2023, 0, 1 + day)).replace(/\.$/, "");
      if (form.length > 1 && !weekdays.has(fold(form))) weekdays.set(fold(form), { day, form, isSure: style === "long" });
    }
    // In a date, the name of a month may be inflected.
    for (const month of [formatter({ month: style }), formatter({ month: style, day: "numeric" })]) {
      for (let number = 1; number <= 12; number += 1) {
        const name = month.formatToParts(Date.UTC(2023, number - 1, 12)).find(({ type }) => type === "month").value;
        if (/^\p{L}[^\d]+$/u.test(name) && !months.has(fold(name))) months.set(fold(name), number);
      }
    }
    const always = new Intl.RelativeTimeFormat(language, { style });
    for (const unit of ["minute", "hour", "day", "week", "month", "year"]) {
      for (const count of plurals) {
        const parts = always.formatToParts(count, unit).map(({ type, value }) => (type === "literal" ? value : NUMBER));
        const form = fold(parts.join(""));
        if (!form.includes(NUMBER)) continue;
        add(form, { unit, isNumbered: true });
        // "3 日後" is as often written without the space.
        if (isForeign) add(form.replaceAll(" ", ""), { unit, isNumbered: true });
      }
    }
  }
  const auto = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, counts] of [["day", [0, 1, 2]], ["week", [1]], ["month", [1]], ["year", [1]]]) {
    for (const count of counts) {
      const form = auto.format(count, unit);
      if (!/\p{Nd}/u.test(form)) add(form, { unit, count, isNumbered: false });
    }
  }
}

/** What people type beside the names that `Intl` knows. */
function addEnglish({ phrases, weekdays, months }) {
  const add = (form, unit, count, isNumbered) => phrases.set(form, { unit, count, isNumbered, isForeign: false, form });
  add("tonight", "day", 0, false);
  for (const form of ["tmr", "tmrw"]) add(form, "day", 1, false);
  for (const unit of ["day", "week", "month", "year"]) add(`in a ${unit}`, unit, 1, true);
  add("in an hour", "hour", 1, true);
  for (const unit of ["min", "mins"]) add(`in ${NUMBER} ${unit}`, "minute", undefined, true);
  for (const unit of ["hr", "hrs"]) add(`in ${NUMBER} ${unit}`, "hour", undefined, true);
  months.set("sept", 9);
  for (const [form, day] of Object.entries(SURE_WEEKDAYS)) weekdays.set(form, { day, form, isSure: true });
  weekdays.set("weds", { day: 3, form: "weds", isSure: false });
}
