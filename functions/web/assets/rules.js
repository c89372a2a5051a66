// The API's rules for what a person writes.

/** The longest title, description and tag, in code points, and the most tags of a task. */
export const LIMITS = { title: 500, description: 5000, tag: 50, tags: 20 };

/** Whether a text has at most so many code points, as the API counts. */
export function isWithin(text, limit) {
  return text.length <= limit || (text.length <= 2 * limit && [...text].length <= limit);
}

/** Whether nothing of a text can be seen: a title or a tag is not made of that alone. */
export function isInvisible(text) {
  return /^[\p{White_Space}\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]*$/u.test(text);
}

/** A tag in the form in which the API compares and keeps it. */
export function tagForm(text) {
  // Lowercasing can undo the normal form.
  return text.trim().normalize().toLowerCase().normalize();
}

/** A tag as the API keeps it; "" for what can be none. */
export function tagName(text) {
  const name = tagForm(text);
  return !isWithin(name, LIMITS.tag) || /[,\p{Cc}]/u.test(name) || isInvisible(name) ? "" : name;
}
