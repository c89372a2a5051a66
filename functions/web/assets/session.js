// The session of the browser, which all tabs of this page share.
//
// Its refresh token is in a cookie that no script can read and no other site can make the browser send (HttpOnly,
// SameSite=Strict). The token that requests are made with is in this tab's memory alone: a reload gets another one.

const base = new URL(".", document.baseURI).pathname.replace(/\/$/, "");

/** APIs on one host, such as `/v1` and `/v2`, share the origin; each page has its own channel. */
const tabs = new BroadcastChannel(`task-api-session${base}`);

/** Tells the other tabs who is signed in now; null is nobody. */
export function announce(user) {
  tabs.postMessage(user);
}

/** Calls `listener` with what another tab announces. */
export function onAnnouncement(listener) {
  tabs.addEventListener("message", ({ data }) => listener(data));
}

/** Where the page of release 0.1.0 kept the session of a tab. Its token holds for an hour. */
const KEY = `task-api-session${base}`;

/** The session of a tab that release 0.1.0 has left, or null. */
export function inherited() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    // Storage may be disabled.
    return null;
  }
}

export function forgetInherited() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
