// The account's dialog: its address, its password, its sessions, its tasks as files, its end.

import { NoAnswer } from "./api.js";
import { Notice, clearErrors, count, isBusy, onPress, onSubmit, sentence } from "./forms.js";
import { compare, fromJson, inSlices, save, textOf, toCsv, toJson } from "./transfer.js";

const byId = (id) => document.getElementById(id);

/**
 * The account's button and its dialog, for the tasks of `replica`.
 *
 * `onEnd` is called when the user has ended this session here, with a text that says how; `say` shows what was done.
 */
export function accountDialog(api, { replica, onEnd, say }) {
  const dialog = byId("account-dialog");
  const [changeEmail, changePassword, deleteAccount] = ["change-email", "change-password", "delete-account"].map(byId);
  const [bar, label, shown] = ["account-bar", "account-email", "account-address"].map(byId);
  const sessions = sessionList(api, { replica, dialog, onEnd });
  const files = fileSection(replica, { dialog, say });
  let email = "";

  function name(address) {
    email = address;
    label.textContent = shown.textContent = email || "this browser";
    changePassword.elements.email.value = email;
  }

  /** Shows the account's address, unless it is another's by now. */
  function know(account) {
    if (account.id === api.session?.user_id) name(account.email);
  }

  async function load() {
    try {
      know(await api.account());
    } catch {
      // No message: the address is not essential, and other calls report their own errors.
      name(email);
    }
  }

  byId("open-account").addEventListener("click", () => {
    files.clear();
    dialog.showModal();
    load();
    sessions.load();
  });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const form of [changeEmail, changePassword, deleteAccount]) {
      form.reset();
      clearErrors(form);
    }
    for (const details of dialog.querySelectorAll("details")) details.open = false;
    sessions.clear();
    files.clear();
  });

  onSubmit(
    changeEmail,
    async ({ current_password, email }) => {
      know(await api.changeEmail(current_password, email).catch(unsure("e-mail address", "Open this dialog again to see")));
      dialog.close();
      say("Your e-mail address is changed.");
    },
    { 401: "current_password", 409: "email" },
  );

  onSubmit(
    changePassword,
    async ({ current_password, password }) => {
      know(await api.changePassword(current_password, password).catch(unsure("password", "Sign out and try both")));
      dialog.close();
      say("Your password is changed.");
    },
    { 401: "current_password" },
  );

  onSubmit(deleteAccount, async ({ sure }) => {
    if (!sure) throw new Notice("Tick this if you are sure.", "sure");
    await api.deleteAccount();
    onEnd("Your account and every task in it are deleted.");
  });

  return {
    /** Shows the account's address, as soon as it is known. */
    show() {
      bar.hidden = false;
      label.textContent = email || "…";
      return load();
    },
    hide() {
      bar.hidden = true;
      files.stop();
      dialog.close();
      name("");
    },
    get email() {
      return email;
    },
  };
}

/** What to do with the error of a change that may have been made. */
function unsure(what, advice) {
  return (error) => {
    if (!(error instanceof NoAnswer)) throw error;
    throw new Notice(`There was no response, so your ${what} may or may not have changed. ${advice}.`);
  };
}

// ---- sessions

function sessionList(api, { replica, dialog, onEnd }) {
  const [list, loading, status] = ["sessions", "sessions-loading", "sessions-status"].map(byId);
  const [failure, again, everywhere] = ["sessions-failure", "reload-sessions", "end-all-sessions"].map(byId);
  /** The load whose answer is wanted. */
  let latest = null;
  /** The user knows that changes will be lost. */
  let isWarned = false;

  async function load() {
    clear();
    loading.hidden = false;
    const mine = (latest = Symbol());
    try {
      const sessions = await api.sessions();
      if (mine !== latest) return;
      sessions.sort((a, b) => b.current - a.current || b.refreshed_at.localeCompare(a.refreshed_at));
      list.append(...sessions.map(rowOf));
      everywhere.hidden = false;
    } catch (error) {
      if (mine !== latest) return;
      show(failure, sentence(error));
      again.hidden = false;
    }
    loading.hidden = true;
  }

  function clear() {
    latest = null;
    isWarned = false;
    list.replaceChildren();
    status.textContent = "";
    loading.hidden = failure.hidden = again.hidden = everywhere.hidden = true;
  }

  function rowOf(session) {
    const row = byId("session-row").content.firstElementChild.cloneNode(true);
    const device = deviceOf(session.user_agent);
    row.querySelector(".device bdi").textContent = device;
    const seen = session.current ? "This browser." : `Last seen: ${ago(session.refreshed_at)}.`;
    row.querySelector(".meta").textContent = `${seen} Ends: ${day.format(new Date(session.expires_at))}.`;
    const end = row.querySelector("button");
    end.setAttribute("aria-label", `End: ${device}`);
    onPress(end, () => (session.current ? signOut() : endOther()), failure);

    async function endOther() {
      await api.endSession(session.id);
      const neighbour = row.nextElementSibling ?? row.previousElementSibling;
      const hadFocus = row.contains(document.activeElement);
      row.remove();
      status.textContent = `Ended: ${device}.`;
      if (hadFocus) (neighbour?.querySelector("button") ?? byId("sessions-heading")).focus();
    }
    return row;
  }

  function signOut() {
    dialog.close();
    byId("sign-out").click();
  }

  again.addEventListener("click", () => {
    byId("sessions-heading").focus();
    load();
  });
  onPress(
    everywhere,
    async () => {
      if (replica.waiting > 0 && !isWarned) {
        isWarned = true;
        const lost = `${count(replica.waiting, "change")} not sent yet would be lost.`;
        throw new Notice(`${lost} Press again to sign out all the same.`);
      }
      await api.endAllSessions();
      onEnd("You are signed out everywhere.");
    },
    failure,
  );

  return { load, clear };
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** How long ago something was, in the largest unit that there is one of. */
function ago(iso) {
  const seconds = Math.max(0, (Date.now() - new Date(iso)) / 1000);
  const [unit, size] = [["day", 86_400], ["hour", 3600]].find(([, size]) => seconds >= size) ?? ["minute", 60];
  return relative.format(-Math.floor(seconds / size), unit);
}

/** Those that also say that they are another one come first. */
const BROWSERS = [
  [/\bEdg(A|iOS)?\//, "Edge"],
  [/\b(OPR|OPiOS|OPT)\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/(Chrome|\bCriOS)\//, "Chrome"],
  [/\bVersion\/.* Safari\//, "Safari"],
];
const SYSTEMS = [
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bMac OS X\b/, "Mac"],
  [/\bLinux\b/, "Linux"],
];

/** A session's device in plain words: "Firefox on Linux". What is no browser is shown as it calls itself. */
function deviceOf(userAgent) {
  if (!userAgent) return "Unknown device";
  const nameIn = (names) => names.find(([pattern]) => pattern.test(userAgent))?.[1];
  const [browser, system] = [nameIn(BROWSERS), nameIn(SYSTEMS)];
  if (browser && system && userAgent.startsWith("Mozilla/")) return `${browser} on ${system}`;
  return clipped(userAgent);
}

// ---- files

/** Tasks that an account has room for: a setting of the service, and this is its usual value. */
const ROOM = 10_000;

const INCOMPLETE = "Not all of your tasks could be loaded. Try again when there is a connection.";

/** Refused tasks that are named. */
const NAMED = 5;

function fileSection(replica, { dialog, say }) {
  const [form, chooser, choose] = ["import", "import-file", "choose-import"].map(byId);
  const [failure, status] = ["files-failure", "files-status"].map(byId);
  const submit = form.querySelector(".primary");
  /** The values of the chosen file's tasks, oldest first, and those among them that are here already. */
  let [tasks, known] = [[], new Set()];
  /** The import that is under way, or null. */
  let running = null;

  /** Every task, as soon as all are here. */
  function everyTask() {
    const watch = new AbortController();
    const { signal } = watch;
    const all = new Promise((resolve, reject) => {
      const fail = () => reject(new Notice(INCOMPLETE));
      const look = () => {
        if (replica.isComplete) resolve([...replica.tasks.values()]);
        else if (replica.loadError || replica.isOffline) fail();
      };
      replica.addEventListener("change", look, { signal });
      dialog.addEventListener("close", fail, { signal });
      look();
    });
    return all.finally(() => watch.abort());
  }

  async function exportAs(extension, type, format) {
    status.textContent = "Reading your tasks…";
    const all = await everyTask().finally(() => (status.textContent = ""));
    status.textContent = `Exported ${count(all.length, "task")}: ${save(format(all), extension, type)}`;
  }
  onPress(byId("export-json"), () => exportAs("json", "application/json", toJson), failure);
  onPress(byId("export-csv"), () => exportAs("csv", "text/csv;charset=utf-8", toCsv), failure);

  choose.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", async () => {
    const [file] = chooser.files;
    if (!file || isBusy(form)) return;
    forget();
    failure.hidden = true;
    const mine = (running = Symbol());
    status.textContent = "Reading…";
    try {
      const read = await fromJson(await textOf(file));
      const same = await compare(read.tasks, await everyTask());
      if (mine !== running) return;
      [tasks, known] = [read.tasks, same];
      status.textContent = "";
      preview(file.name, read.refused);
    } catch (error) {
      if (mine !== running) return;
      status.textContent = "";
      show(failure, sentence(error));
    }
  });

  function preview(name, refused) {
    byId("import-heading").textContent = name;
    const fresh = tasks.length - known.size;
    byId("import-fresh").textContent = fresh > 0 ? `${count(fresh, "new task")}.` : "No new tasks.";
    showPart("import-known", known.size, `${count(known.size, "task")} that you have already, with the same values.`);
    showPart("import-refused", refused.length, `${count(refused.length, "task")} that cannot be imported:`);
    byId("import-refused").querySelector("ul").replaceChildren(...reasonsOf(refused).map(itemOf));
    showWanted();
    form.hidden = false;
    byId("import-heading").focus();
  }

  function showPart(id, size, text) {
    byId(id).hidden = size === 0;
    byId(id).querySelector("p").textContent = text;
  }

  const wanted = () => (form.elements.again.checked ? tasks : tasks.filter((values) => !known.has(values)));

  function showWanted() {
    const { length } = wanted();
    submit.textContent = `Import ${count(length, "task")}`;
    submit.hidden = length === 0;
    const [room, total] = [byId("import-room"), replica.tasks.size + length];
    room.textContent = `That makes ${count(total, "task")}. An account usually has room for ${count(ROOM, "task")}.`;
    room.hidden = length === 0 || total <= ROOM;
  }
  form.elements.again.addEventListener("change", showWanted);

  onSubmit(form, async () => {
    const chosen = wanted();
    const mine = (running = Symbol());
    let done = 0;
    status.textContent = "Importing…";
    try {
      await inSlices(chosen, (values) => {
        if (mine !== running) throw new Notice("The import was stopped.");
        replica.create(values);
        done += 1;
      });
      dialog.close();
      say(`Imported: ${count(done, "task")}.`);
    } catch (error) {
      const part = `${done.toLocaleString("en")} of ${count(chosen.length, "task")} were imported.`;
      const text = `${sentence(error)} ${part} Choose the file again for the others.`;
      say(text);
      // The dialog covers the status line.
      show(failure, text);
      if (dialog.open) choose.focus();
    } finally {
      forget();
    }
  });
  byId("cancel-import").addEventListener("click", () => {
    stop();
    choose.focus();
  });

  /** Forgets the chosen file. */
  function forget() {
    running = null;
    [tasks, known] = [[], new Set()];
    status.textContent = chooser.value = "";
    form.hidden = true;
    form.reset();
  }

  /** Ends what is under way. */
  function stop() {
    running = null;
    if (!isBusy(form)) forget();
  }

  return {
    /** Forgets what was shown, unless it is being imported. */
    clear() {
      failure.hidden = true;
      if (!isBusy(form)) forget();
    },
    stop,
  };
}

function show(failure, text) {
  failure.textContent = text;
  failure.hidden = false;
}

/** What is wrong with the first refused tasks. */
function reasonsOf(refused) {
  const lines = refused.slice(0, NAMED).map(({ number, title, reasons }) => {
    const name = title.trim() ? `, “${clipped(title.trim())}”` : "";
    return `Number ${number.toLocaleString("en")}${name}: ${reasons.join(" ")}`;
  });
  const more = refused.length - NAMED;
  return more > 0 ? [...lines, `And ${more.toLocaleString("en")} more.`] : lines;
}

function itemOf(text) {
  return Object.assign(document.createElement("li"), { textContent: text, dir: "auto" });
}

/** A text, cut to 60 characters. */
function clipped(text) {
  const characters = [...text.slice(0, 200)];
  return characters.length > 60 ? `${characters.slice(0, 59).join("")}…` : text;
}
