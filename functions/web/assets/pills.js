// Small texts with a button that takes them away, and what is said of them aloud.

const template = document.getElementById("pill").content.firstElementChild;

/** How long nothing changes before it is said aloud, in milliseconds. */
const PAUSE = 700;

/** A list item with `words` in the language `lang`, after `before`, and a button of this name. */
function pill({ words, lang = "", before = "", button, onPress }) {
  const item = template.cloneNode(true);
  const text = document.createElement("bdi");
  text.textContent = words;
  if (lang) text.lang = lang;
  item.querySelector(".pill-text").append(before, text);
  const press = item.querySelector("button");
  press.setAttribute("aria-label", button);
  press.title = button;
  press.addEventListener("click", onPress);
  return item;
}

/** Shows pills in a list; hides it without any. Nothing is touched if they are there already. */
export function showPills(list, pills) {
  const key = JSON.stringify(pills);
  if (list.dataset.pills !== key) list.replaceChildren(...pills.map(pill));
  list.dataset.pills = key;
  list.hidden = pills.length === 0;
}

/** A function that lets an element of role "status" say a text, once no other has come for a while. */
export function speaker(element) {
  let timer;
  return (text) => {
    clearTimeout(timer);
    if (text === "") element.textContent = "";
    else if (text !== element.textContent) timer = setTimeout(() => (element.textContent = text), PAUSE);
  };
}
