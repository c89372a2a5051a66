// The session, kept over a reload.
//
// The token is in `sessionStorage`: it belongs to this tab and this origin, ends with the tab, and is sent only when this
// code adds it, so no other site can make the browser send it. A cookie would be sent with every request; `localStorage`
// is shared with every tab and outlives the browser. Memory would be no safer from what can read `sessionStorage`, which
// is script of this origin in this tab, and every reload would need a sign-in. The Content-Security-Policy allows only
// script that is served from here.

/** APIs on one host, such as `/v1` and `/v2`, share the storage; each page has its own key. */
const KEY = `task-api-session${new URL("..", import.meta.url).pathname.replace(/\/$/, "")}`;

/** The session of this tab, or null. Only the API knows whether it is still valid. */
export function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    // Storage may be disabled. Then the session lasts until the reload.
    return null;
  }
}

/** Stores the part of a sign-in's response that calls need, and returns it. */
export function save({ token, user_id }) {
  const session = { token, user_id };
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    // As above.
  }
  return session;
}

export function clear() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
