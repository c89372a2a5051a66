// The entry point: shows the sign-in form or the task list.

import { TaskApi } from "./api.js";
import { accountDialog, welcome } from "./account.js";
import { duration, sentence } from "./forms.js";
import { announce, forgetInherited, inherited, onAnnouncement } from "./session.js";
import { taskList } from "./tasks.js";

const byId = (id) => document.getElementById(id);

const api = new TaskApi("", {
  cookie: true,
  fetch: ask,
  onWait: (wait) => (wait ? sayWait(wait) : waiting && say("")),
  onSessionEnd: () =>
    leave(`Your session has ended. Please sign in again.${tasks.isWriting ? " What you were writing is kept." : ""}`),
});

const front = welcome(api, {
  onSession: (session) => {
    api.session = session;
    announce(session.user_id);
    open();
  },
  onBack: resume,
});
const tasks = taskList(api, say);
const account = accountDialog(api, { onEnd: signedOut, say });

/** The answer to a request that the page has begun before its program was there, or to a new one. */
async function ask(url, request) {
  const answer = begun.get(url.href);
  begun.delete(url.href);
  return (await answer?.catch(() => null)) ?? fetch(url, request);
}

/** Shows the list of the user who is signed in. */
function open() {
  front.hide();
  account.show();
  tasks.show();
}

/** Hides the list. */
function close() {
  api.session = null;
  tasks.hide();
  account.hide();
}

/** Shows the sign-in form, and `why`. */
function leave(why) {
  const { email } = account;
  close();
  forgetInherited();
  front.show(why, email);
}

/** The user has ended the session: it has ended in every tab, and nothing that was written is kept. */
function signedOut(why) {
  announce(null);
  tasks.forget();
  leave(why);
}

/** Goes on with the session that the browser keeps, or shows the sign-in form. */
async function resume() {
  close();
  front.hide();
  const failure = byId("resume-failure");
  failure.hidden = true;
  try {
    await api.refresh();
  } catch (error) {
    if (error.status !== 401) {
      failure.querySelector("p").textContent = sentence(error);
      failure.hidden = false;
      return;
    }
    api.session = inherited();
  }
  if (api.session) open();
  else front.show();
}

byId("resume").addEventListener("click", resume);

const signOut = byId("sign-out");
signOut.addEventListener("click", async () => {
  if (signOut.hasAttribute("aria-busy")) return;
  signOut.setAttribute("aria-busy", "true");
  try {
    await api.signOut();
    signedOut("You are signed out.");
  } catch (error) {
    say(`You are still signed in. ${sentence(error)}`);
  } finally {
    signOut.removeAttribute("aria-busy");
  }
});

onAnnouncement((user) => {
  if (user === (api.session?.user_id ?? null) || front.isResetting) return;
  if (user === null) {
    tasks.forget();
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
  if (event.persisted) resume();
});

// The link of a mail, which may be opened where the page is already open.
addEventListener("hashchange", () => front.showReset() && close());

// ---- the status line

let clearing;
let waiting = false;

function say(text) {
  const status = document.getElementById("status");
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
