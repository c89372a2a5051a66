// Who is signed in, kept over a reload.
//
// The token is in `sessionStorage`: it belongs to this tab and this origin, it goes when the tab does, and no request
// carries it unless this code adds it, so no other site can have it sent. In a cookie it would go along with every
// request; in `localStorage` every tab would have it, and whoever opens the browser next. In memory alone it would be
// no safer from what can read `sessionStorage`, which is script of this origin in this tab, and every reload would be a
// sign-in. Such script there is none but what is served from here: see the pages' Content-Security-Policy.

/** Other APIs on the same host, `/v1` and `/v2`, share the storage: each page has the session of its own. */
const KEY = `task-api-session${new URL("..", import.meta.url).pathname.replace(/\/$/, "")}`;

/** The session of this tab, or null. Whether it still holds, only the API can say. */
export function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    // Storage may be switched off. Then the session lasts until the reload.
    return null;
  }
}

/** Remembers a session: of what the API answered to a sign-in, what its calls need. */
export function save({ token, user_id }) {
  const session = { token, user_id };
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    // As above.
  }
  return session;
}

/** Forgets it. */
export function clear() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
