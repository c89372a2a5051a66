// The toolbar: search, filters, sort. What is chosen is in the page's address.

import { showPills, speaker } from "./pills.js";
import { PARAMETERS, counts, readView, writeView } from "./view.js";

const byId = (id) => document.getElementById(id);

const DUE = { overdue: "Overdue", today: "Due today", week: "Due in the next 7 days", none: "No date" };

/** The page's title without a list. */
const TITLE = document.title;

/**
 * The toolbar. `onChange()` is called when another view was chosen, with a control, back or forward; `onClear(view)` when the
 * completed tasks of the chosen view are to be deleted: `view` has these alone.
 */
export function finder({ onChange, onClear }) {
  const [search, clearSearch, opener, panel] = ["search", "clear-search", "open-filters", "filters"].map(byId);
  const [chosen, clearFilters, clearCompleted, sort] = ["chosen", "clear-filters", "clear-completed", "sort"].map(byId);
  const [shows, dues, priorities, tags] = ["filter", "filter-due", "filter-priority", "filter-tags"].map(byId);
  const aloud = speaker(byId("found-aloud"));
  let view = readView(location.search);
  let tasks = new Map();

  // ---- the view and the address

  /** Changes the view. While the search is typed, it remains one entry of the tab's history. */
  function choose(changes, { isTyping = false } = {}) {
    const next = { ...view, ...changes };
    if (writeView(next) === writeView(view)) return;
    remember(next, isTyping && view.q !== "");
    turnTo(next);
  }

  function back() {
    const next = readView(location.search);
    // The fragment alone may have changed.
    if (writeView(next) === writeView(view)) return;
    search.value = next.q;
    turnTo(next);
  }

  function turnTo(next) {
    view = next;
    const count = render()[view.show || "all"];
    aloud(count === 1 ? "1 task" : `${count} tasks`);
    onChange();
  }

  // ---- what is shown

  function render() {
    const found = counts(tasks, view);
    check(shows, [view.show]);
    check(dues, [view.due]);
    check(priorities, view.priority.map(String));
    sort.value = view.sort;
    if (search.value.trim() !== view.q) search.value = view.q;
    clearSearch.hidden = search.value === "";
    for (const input of shows.querySelectorAll("input")) showCount(countOf(input), found[input.value || "all"]);
    for (const input of dues.querySelectorAll("input")) showCount(countOf(input), found.due[input.value]);
    for (const input of priorities.querySelectorAll("input")) showCount(countOf(input), found.priority[input.value]);
    renderTags(found.tags);
    renderChosen();
    hide(clearCompleted, found.done === 0);
    document.title = found.left > 0 ? `(${found.left}) ${TITLE}` : TITLE;
    return found;
  }

  function renderTags(found) {
    const inputs = [...tags.querySelectorAll("input")];
    if (inputs.map(({ value }) => value).join() !== found.map(([name]) => name).join()) {
      const focused = document.activeElement;
      const labels = found.map(([name]) => inputs.find(({ value }) => value === name)?.closest("label") ?? tagChoice(name));
      tags.replaceChildren(tags.firstElementChild, ...labels);
      // What is moved loses the focus.
      if (labels.some((label) => label.contains(focused))) focused.focus();
    }
    check(tags, view.tags);
    const numbers = new Map(found);
    for (const input of tags.querySelectorAll("input")) showCount(countOf(input), numbers.get(input.value));
    tags.hidden = found.length === 0;
  }

  /** The filters, each of which can be taken away; the focus then goes to the next one. */
  function renderChosen() {
    const pills = [
      ...view.tags.map((name) => [`#${name}`, { tags: view.tags.filter((other) => other !== name) }]),
      ...(view.due ? [[DUE[view.due], { due: "" }]] : []),
      ...view.priority.map((number) => [`Priority ${number}`, { priority: view.priority.filter((it) => it !== number) }]),
    ].map(([words, changes], index) => {
      const onPress = () => {
        choose(changes);
        const buttons = chosen.querySelectorAll("button");
        (buttons[Math.min(index, buttons.length - 1)] ?? opener).focus();
      };
      return { words, button: `Remove filter: ${words}`, onPress };
    });
    showPills(chosen, pills);
    hide(clearFilters, pills.length === 0);
  }

  /** Hides a button or shows it; what is hidden does not keep the focus. */
  function hide(button, isHidden) {
    if (isHidden && document.activeElement === button) opener.focus();
    button.hidden = isHidden;
  }

  // ---- what the person does

  shows.addEventListener("change", () => choose({ show: checked(shows)[0] }));
  dues.addEventListener("change", () => choose({ due: checked(dues)[0] }));
  priorities.addEventListener("change", () => choose({ priority: checked(priorities).map(Number) }));
  tags.addEventListener("change", () => choose({ tags: checked(tags) }));
  sort.addEventListener("change", () => choose({ sort: sort.value }));
  search.addEventListener("input", () => {
    clearSearch.hidden = search.value === "";
    choose({ q: search.value.trim() }, { isTyping: true });
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || search.value === "") return;
    event.preventDefault();
    event.stopPropagation();
    emptySearch();
  });
  clearSearch.addEventListener("click", emptySearch);
  opener.addEventListener("click", () => openPanel(panel.hidden));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    openPanel(false);
    opener.focus();
  });
  clearFilters.addEventListener("click", clear);
  clearCompleted.addEventListener("click", () => onClear({ ...view, show: "done" }));
  addEventListener("popstate", back);

  function emptySearch() {
    search.value = "";
    search.focus();
    choose({ q: "" }, { isTyping: true });
    clearSearch.hidden = true;
  }

  function openPanel(isOpen) {
    panel.hidden = !isOpen;
    opener.setAttribute("aria-expanded", String(isOpen));
  }

  /** Keeps what is shown by status, and the order. */
  function clear() {
    search.value = "";
    choose({ q: "", tags: [], due: "", priority: [] });
  }

  search.value = view.q;

  return {
    /** What is chosen; see view.js. */
    get view() {
      return view;
    },
    /** Shows how many of the tasks there are for each choice. */
    show(all) {
      tasks = all;
      render();
    },
    /** Takes away all filters, and shows the tasks of every status. */
    reset() {
      search.value = "";
      choose({ show: "", q: "", tags: [], due: "", priority: [] });
    },
    /** Forgets the tasks: nothing of them stays on the page. */
    hide() {
      tasks = new Map();
      openPanel(false);
      render();
    },
    focusSearch() {
      search.focus();
      search.select();
    },
  };
}

/** Writes a view into the address, and leaves the rest of it as it is. */
function remember(view, isReplaced) {
  const address = new URL(location);
  for (const name of PARAMETERS) address.searchParams.delete(name);
  const others = address.searchParams.toString();
  address.search = [writeView(view).slice(1), others].filter((part) => part !== "").join("&");
  try {
    history[isReplaced ? "replaceState" : "pushState"](history.state, "", address);
  } catch {
    // Browsers limit how often an address changes in a while; the next change has it all.
  }
}

function checked(group) {
  return [...group.querySelectorAll("input:checked")].map(({ value }) => value);
}

function check(group, values) {
  for (const input of group.querySelectorAll("input")) input.checked = values.includes(input.value);
}

/** Where the number of a choice is: beside its label, if the label is to be the choice alone. */
const countOf = (input) => byId(input.getAttribute("aria-describedby")) ?? input.closest("label").querySelector(".count");

/** A number and, for those who only hear it, what it counts. */
function showCount(element, count) {
  if (!element || element.dataset.count === String(count)) return;
  element.dataset.count = count;
  const words = document.createElement("span");
  words.className = "visually-hidden";
  words.textContent = count === 1 ? " task" : " tasks";
  element.replaceChildren(new Intl.NumberFormat(undefined).format(count), words);
}

function tagChoice(name) {
  const label = byId("tag-choice").content.firstElementChild.cloneNode(true);
  label.querySelector("input").value = name;
  label.querySelector("bdi").textContent = `#${name}`;
  return label;
}
