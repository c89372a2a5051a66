// What the tabs of this page share, and what a tab keeps over a reload.
//
// The session's refresh token is in a cookie that no script can read and no other site can make the browser send (HttpOnly,
// SameSite=Strict). The token that requests are made with is in this tab's memory alone: a reload gets another one.

/** The API's base, at which the page is. */
export const base = new URL(".", document.baseURI);

/** APIs on one host, such as `/v1` and `/v2`, share the origin; each page has names of its own. */
const name = `task-api-session${base.pathname.replace(/\/$/, "")}`;

const tabs = new BroadcastChannel(name);

/** Tells the other tabs who is signed in now; null is nobody. */
export function announce(user) {
  tabs.postMessage(user);
}

/** Calls `listener` with what another tab announces. */
export function onAnnouncement(listener) {
  tabs.addEventListener("message", ({ data }) => listener(data));
}

/** The session of a tab that release 0.1.0 has left, or null. Its token holds for an hour. */
export function inherited() {
  return storage(() => JSON.parse(sessionStorage.getItem(name))) ?? null;
}

export function forgetInherited() {
  keep(name, null);
}

// ---- drafts: what is being written in this tab

let writer = null;

/** Whose drafts they are from now on. Those of others are forgotten. */
export function draftsOf(user) {
  writer = user;
  forgetDrafts((key) => !key.startsWith(draftKey("")));
}

/** The draft of this name, or null. */
export function draft(what) {
  return read(draftKey(what));
}

/** Keeps a draft; null or an empty one goes. */
export function keepDraft(what, text) {
  keep(draftKey(what), text || null);
}

/** The names of the drafts that begin with this. */
export function draftsLike(what) {
  const keys = storage(() => Object.keys(sessionStorage)) ?? [];
  const start = draftKey("");
  return keys.filter((key) => key.startsWith(draftKey(what))).map((key) => key.slice(start.length));
}

export function forgetDrafts(isWanted = () => true) {
  const keys = storage(() => Object.keys(sessionStorage)) ?? [];
  for (const key of keys) if (key.startsWith(`${name} draft `) && isWanted(key)) keep(key, null);
}

const draftKey = (what) => `${name} draft ${writer} ${what}`;

const read = (key) => storage(() => sessionStorage.getItem(key)) ?? null;

function keep(key, text) {
  storage(() => (text === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, text)));
}

/** Storage may be disabled, or full. */
function storage(work) {
  try {
    return work();
  } catch {
    return undefined;
  }
}
