// The entry point: shows the sign-in form or the task list.

import { TaskApi } from "./api.js";
import { accountDialog, welcome } from "./account.js";
import { duration, sentence } from "./forms.js";
import * as stored from "./session.js";
import { taskList } from "./tasks.js";

const api = new TaskApi(new URL("..", import.meta.url), {
  onWait: (wait) => (wait ? sayWait(wait) : waiting && say("")),
  onSessionEnd: () =>
    leave(`Your session has ended. Please sign in again.${tasks.isWriting ? " What you were writing is kept." : ""}`),
});

const front = welcome(api, enter);
const tasks = taskList(api, say);
const account = accountDialog(api, {
  onSession: begin,
  onEnd: (why) => {
    tasks.forget();
    leave(why);
  },
  say,
});

function begin(session) {
  api.session = stored.save(session);
}

function enter(session) {
  begin(session);
  open();
}

function open() {
  front.hide();
  account.show();
  tasks.show();
}

/** Shows the sign-in form, and `why`. */
function leave(why) {
  const { email } = account;
  api.session = null;
  stored.clear();
  tasks.hide();
  account.hide();
  front.show(why, email);
}

document.getElementById("sign-out").addEventListener("click", () => {
  tasks.forget();
  leave("You are signed out.");
});

// A page from the back/forward cache may be older than a sign-out in another page of this tab.
addEventListener("pageshow", (event) => {
  if (event.persisted && stored.load()?.token !== api.session?.token) location.reload();
});

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

api.session = stored.load();
if (api.session) open();
else front.show();
