// The entry point: shows the sign-in form or the tasks, and joins the parts.

import { accountDialog } from "./account.js";
import { addForm } from "./add.js";
import { TaskApi } from "./api.js";
import { finder } from "./find.js";
import { count, duration, sentence } from "./forms.js";
import { shortcuts } from "./keys.js";
import { taskList } from "./list.js";
import { announce, base, draftsOf, forgetDrafts, forgetInherited, inherited, onAnnouncement } from "./session.js";
import { openStore } from "./store.js";
import { Replica } from "./sync.js";
import { undoBar } from "./undo.js";
import { select } from "./view.js";
import { welcome } from "./welcome.js";

/** How long a sign-out waits for what is not sent yet, in milliseconds. */
const FLUSH_MS = 4000;

const byId = (id) => document.getElementById(id);
const [desk, offline, unsent] = ["desk", "offline", "unsent-dialog"].map(byId);

const api = new TaskApi(base, {
  cookie: true,
  fetch: ask,
  onWait: (wait) => (wait ? sayWait(wait) : waiting && say("")),
  onSessionEnd: sessionEnded,
});
const replica = new Replica(api, await openStore(`task-api ${base.pathname}`), base.pathname);

const front = welcome(api, {
  onSession: (session) => {
    api.session = session;
    announce(session.user_id);
    enter();
  },
  onBack: resume,
});
const account = accountDialog(api, { replica, onEnd: signedOut, say });
const undo = undoBar();
const find = finder({ onChange: show, onClear: clearCompleted });
const list = taskList(replica, { undo, onShowAll: () => find.reset() });
const add = addForm({ onAdd, say });

replica.addEventListener("change", show);
shortcuts({ add: add.focus, search: find.focusSearch, undo: undo.undo, list: list.focus });

/** The answer to a request that the page has begun before its program was there, or to a new one. */
async function ask(url, request) {
  const answer = globalThis.begun?.get(url.href);
  globalThis.begun?.delete(url.href);
  return (await answer?.catch(() => null)) ?? fetch(url, request);
}

// ---- the tasks

function show() {
  if (api.session === null) return;
  const { show, q, tags, due, priority, sort } = find.view;
  find.show(replica.tasks);
  const isFiltered = q !== "" || due !== "" || tags.length > 0 || priority.length > 0;
  list.show(select(replica.tasks, find.view), { show, isFiltered, sort });
  offline.hidden = !replica.isOffline || replica.loadError !== null;
  offline.querySelector("p").textContent = `The service could not be reached. ${waitingText(replica.waiting)}`;
}

function waitingText(count) {
  if (count === 0) return "What you change is kept here, and sent when it is back.";
  return `${count} ${count === 1 ? "change is" : "changes are"} kept here, and sent when it is back.`;
}

function onAdd(all) {
  const keys = replica.createAll(all);
  const shown = select(new Map(keys.map((key) => [key, replica.tasks.get(key)])), find.view);
  if (shown.length === keys.length) return;
  say(`Added: ${count(keys.length, "task")}, of which the list shows ${shown.length || "none"} now.`);
}

function clearCompleted(view) {
  const completed = select(replica.tasks, view);
  const revert = replica.removeAll(completed.map(({ key }) => key));
  undo.offer(completed.length === 1 ? `Deleted: ${completed[0].title}` : `${completed.length} tasks deleted`, revert);
}

offline.querySelector("button").addEventListener("click", () => replica.sync());

// ---- who is signed in

/** Shows the tasks of the user who is signed in. */
function enter() {
  const { user_id } = api.session;
  draftsOf(user_id);
  front.hide();
  account.show();
  desk.hidden = false;
  add.resume();
  add.focus();
  replica.open(user_id);
}

/** Hides them. */
function close() {
  api.session = null;
  account.hide();
  replica.close();
  list.suspend();
  find.hide();
  desk.hidden = true;
}

/** Shows the sign-in form, and `why`. */
function leave(why) {
  const { email } = account;
  close();
  forgetInherited();
  front.show(why, email);
}

/** What was being written, and what could not be sent, stays for when the same user is back. */
async function sessionEnded() {
  const isKept = add.isWriting || list.isWriting || replica.waiting > 0;
  leave(`Your session has ended. Please sign in again.${isKept ? " What you were writing is kept." : ""}`);
  if (!isKept) await replica.forget();
}

/** The user has ended the session: it has ended in every tab, and nothing is kept. */
function signedOut(why) {
  announce(null);
  forget();
  leave(why);
}

function forget() {
  forgetDrafts();
  add.forget();
  list.forget();
  find.reset();
  replica.forget();
}

/** Goes on with the session that the browser keeps, or shows the sign-in form. */
async function resume() {
  front.hide();
  byId("resume-failure").hidden = true;
  const keeper = await replica.keeper();
  if (keeper !== null) {
    // What is here is shown at once. The first request gets a token.
    const left = inherited();
    api.session = left?.user_id === keeper ? left : { user_id: keeper, expires_at: 0 };
    return enter();
  }
  try {
    await api.refresh();
  } catch (error) {
    if (error.status !== 401) return showResumeFailure(error);
    api.session = inherited();
  }
  if (api.session) enter();
  else front.show();
}

function showResumeFailure(error) {
  const notice = byId("resume-failure");
  notice.querySelector("p").textContent = sentence(error);
  notice.hidden = false;
}

byId("resume").addEventListener("click", resume);

const signOutButton = byId("sign-out");
signOutButton.addEventListener("click", async () => {
  if (signOutButton.hasAttribute("aria-busy")) return;
  signOutButton.setAttribute("aria-busy", "true");
  try {
    if (replica.waiting > 0) say("Saving what is not sent yet…");
    await Promise.race([replica.flush(), new Promise((resolve) => setTimeout(resolve, FLUSH_MS))]);
    if (replica.waiting === 0 || (await mayLose(replica.waiting))) await signOut();
  } finally {
    signOutButton.removeAttribute("aria-busy");
  }
});

async function signOut() {
  try {
    await api.signOut();
    signedOut("You are signed out.");
  } catch (error) {
    say(`You are still signed in. ${sentence(error)}`);
  }
}

/** Asks whether changes that are not sent may be lost. */
function mayLose(count) {
  unsent.querySelector("p").textContent = `${count} ${count === 1 ? "change is" : "changes are"} not saved yet.`;
  unsent.returnValue = "";
  unsent.showModal();
  return new Promise((resolve) => {
    unsent.addEventListener("close", () => resolve(unsent.returnValue === "lose"), { once: true });
  });
}

onAnnouncement((user) => {
  if (user === (api.session?.user_id ?? null) || front.isResetting) return;
  if (user === null) {
    forget();
    leave("You are signed out.");
  } else if (api.session === null) {
    resume();
  } else {
    // Nothing of one user may be left to another.
    location.reload();
  }
});

// A page from the back/forward cache may be older than a sign-out in another page.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  close();
  resume();
});

// The link of a mail, which may be opened where the page is already open.
addEventListener("hashchange", () => front.showReset() && close());

// ---- the status line

let clearing;
let waiting = false;

function say(text) {
  const status = byId("status");
  clearTimeout(clearing);
  waiting = false;
  status.textContent = text;
  if (text) clearing = setTimeout(() => (status.textContent = ""), 6000);
}

function sayWait({ seconds, error }) {
  const reason = error.retryAfter ? "The service is busy." : sentence(error).split(". ")[0] + ".";
  say(`${reason} Trying again in ${duration(seconds)}.`);
  clearTimeout(clearing);
  waiting = true;
}

if (!front.showReset()) resume();
