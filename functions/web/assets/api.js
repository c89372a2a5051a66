// A client of the Task API.
//
// It is independent of this page and works from every origin the API allows: copy it.
//
//     const api = new TaskApi("https://api.example.com");
//     await api.signUp("ada@example.com", "correct horse");
//     api.session = await api.signIn("ada@example.com", "correct horse");
//     const task = await api.createTask({ title: "Buy milk" }, newKey());
//     await api.updateTask(task, { completed: true });
//
// A session goes on by itself: its token lasts an hour, and the client gets the next one when it is needed. To keep the
// session over a reload, store what `onSession` is called with and assign it to `session` again; with `cookie`, a page of
// the API's own origin has nothing to store, and calls `refresh()` when it starts.
//
// A call that fails throws a `Problem` (an error response), `NoAnswer` (no response) or `Changed` (the task has changed
// since the caller read it). Requests that may be sent twice are retried: see `#call`.

/** An error response of the API: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(response, document) {
    super(document.detail ?? `The service answered with status ${response.status}.`);
    this.status = response.status;
    /** The kind of problem, as a word for programs. */
    this.code = document.code;
    /** What is wrong with which field: `[{ field, detail }]`. */
    this.errors = document.errors ?? [];
    /** Identifies the request in the service's log. */
    this.requestId = document.request_id;
    /** Seconds to wait before the next attempt, or null. */
    this.retryAfter = /^\d+$/.test(response.headers.get("retry-after")) ? Number(response.headers.get("retry-after")) : null;
    /** The token has expired or was revoked (RFC 6750, section 3.1); false for a wrong password. */
    this.tokenIsInvalid = /error="invalid_token"/.test(response.headers.get("www-authenticate"));
    /** An earlier attempt may have succeeded, and its response been lost. */
    this.isRepeat = false;
  }

  /**
   * Worth a retry: too many requests, or a part of the service that is unavailable. A 500 with a request id is a defect,
   * and retrying does not help; one without comes from the gateway, which could not reach the function.
   */
  get isPassing() {
    return [429, 502, 503, 504].includes(this.status) || (this.status === 500 && this.requestId === undefined);
  }
}

/** There was no response: the request may have been served or not. */
export class NoAnswer extends Error {
  constructor(cause) {
    super("The service could not be reached.", { cause });
  }
}

/** The task has changed since the caller read it; `current` is what it is now. */
export class Changed extends Error {
  constructor(current) {
    super("The task was changed elsewhere.");
    this.current = current;
  }
}

/** A new `Idempotency-Key`: however often a task is created with it, there is one. A task with other values needs another key. */
export function newKey() {
  // Not `crypto.randomUUID`, which only secure origins have.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The backoff between attempts when there is no `Retry-After`, in seconds. */
const PAUSES = [1, 2, 4];

/** The longest `Retry-After` to wait for, in seconds; with a longer one the call fails. */
const PATIENCE = 15;

/** The timeout of an attempt, in milliseconds: the gateway gives up after 30 s. */
const TIMEOUT = 35_000;

/** The same for a refresh: all attempts are made while the API still gives the same answer, for 60 s. */
const REFRESH_TIMEOUT = 15_000;

/** A token that expires within this time is replaced before it is sent, in milliseconds. */
const MARGIN = 30_000;

export class TaskApi {
  #base;
  #cookie;
  #fetch;
  #onWait;
  #onSession;
  #onSessionEnd;
  /** The refresh that is under way, or null. */
  #refreshing = null;

  /**
   * @param base the API's URL, with or without a slash at the end; a relative one is relative to the page
   * @param cookie leave the refresh token to a cookie that no script can read; for pages of the API's own origin
   * @param fetch as the browser's
   * @param onWait called with `{ seconds, error }` before a retry, and with null when the call has ended
   * @param onSession called with the session after a refresh
   * @param onSessionEnd called when the session has ended; `session` is null then
   */
  constructor(base, options = {}) {
    const { cookie = false, fetch = globalThis.fetch, onWait = () => {}, onSession = () => {}, onSessionEnd = () => {} } = options;
    this.#base = folder(base);
    this.#cookie = cookie;
    this.#fetch = (url, request) => fetch(url, request);
    this.#onWait = onWait;
    this.#onSession = onSession;
    this.#onSessionEnd = onSessionEnd;
    /** The session, as `signIn` returns it, or null. */
    this.session = null;
  }

  /** Creates an account. 409 when the address has one, 422. */
  async signUp(email, password) {
    return (await this.#call("POST", "users/signup", { body: { email, password } })).body;
  }

  /** A session. 401 when the address or the password is wrong, 429 after too many attempts. */
  async signIn(email, password) {
    const body = this.#cookie ? { email, password, cookie: true } : { email, password };
    return withExpiry(await this.#call("POST", "users/signin", { body, cookie: this.#cookie }));
  }

  /**
   * Gets the session's next token, once for all that ask at a time. 401 when the session has ended.
   *
   * Calls do this themselves when the token expires. With a cookie, this is how a page begins.
   */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** Signs out: the session ends, and its cookie goes. */
  async signOut() {
    try {
      await this.#send("DELETE", this.#mine("/sessions/current"), { cookie: this.#cookie });
    } catch (error) {
      // It had ended before, or by the attempt whose response was lost. A token of release 0.1.0 has no session.
      if (!error.tokenIsInvalid && error.code !== "no_such_session") throw error;
    }
    this.session = null;
  }

  /** Asks for a mail with a token for `resetPassword`, if the address has an account. 501 when the API sends no mail. */
  async requestPasswordReset(email) {
    await this.#call("POST", "users/password-reset", { body: { email } });
  }

  /** Sets a new password, and ends every session of the account. 401 when the token is wrong, used or too old, 422. */
  async resetPassword(token, password) {
    // Not retried: once it has succeeded, the token is used.
    await this.#call("PUT", "users/password-reset", { body: { token, password }, once: true });
  }

  /** The account that is signed in. */
  async account() {
    return (await this.#send("GET", this.#mine())).body;
  }

  /** Changes the address. 401 when `current` is not the password, 409 when the address has an account, 422. */
  async changeEmail(current, email) {
    // Not retried: every wrong password counts.
    return (await this.#send("PUT", this.#mine(), { body: { current_password: current, email }, once: true })).body;
  }

  /** Changes the password, which ends every other session of the account. 401 when `current` is wrong. */
  async changePassword(current, password) {
    // Not retried: once it has succeeded, `current` is wrong.
    return (await this.#send("PUT", this.#mine(), { body: { current_password: current, password }, once: true })).body;
  }

  /** The account's sessions: `[{ id, created_at, refreshed_at, expires_at, user_agent, current }]`. */
  async sessions() {
    return (await this.#send("GET", this.#mine("/sessions"))).body;
  }

  /** Ends one of the account's sessions. */
  async endSession(id) {
    try {
      await this.#send("DELETE", this.#mine(`/sessions/${id}`));
    } catch (error) {
      // It had ended before, or by the attempt whose response was lost.
      if (error.code !== "no_such_session") throw error;
    }
  }

  /** Ends all of them, this one too, and its cookie goes. */
  async endAllSessions() {
    await this.#send("DELETE", this.#mine("/sessions"), { cookie: this.#cookie });
    this.session = null;
  }

  /** Deletes the account and all its tasks. */
  async deleteAccount() {
    await this.#send("DELETE", this.#mine(), { once: true, cookie: this.#cookie });
  }

  /**
   * A page of tasks, newest first: `{ tasks, next, etag }`. With `next` of a page, the one after it.
   *
   * @param known the `etag` of a page: null if it is still the same
   * @param parameters the API's: `status`, `priority`, `tag`, `due_after`, `due_before`, `q`, `sort`, `limit`
   */
  async listTasks({ next, known, signal, ...parameters } = {}) {
    const url = new URL(next ?? this.#mine("/tasks"), this.#base);
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value);
    const headers = known === undefined ? {} : { "if-none-match": known };
    const answer = await this.#send("GET", url, { headers, signal });
    if (answer.status === 304) return null;
    return { tasks: answer.body, next: nextLink(answer.headers.get("link"), url), etag: answer.headers.get("etag") };
  }

  /** How many tasks there are by status, and by tag: `{ tasks: { pending, in_progress, completed, overdue }, tags }`. */
  async summary() {
    return (await this.#send("GET", this.#mine("/summary"))).body;
  }

  /** Creates a task, or finds the one created with this key. 422 when a value breaks a rule, or the key was used for others. */
  async createTask(values, key) {
    return (await this.#send("POST", this.#mine("/tasks"), { body: values, headers: { "idempotency-key": key } })).body;
  }

  /** A task. 403 when it does not exist. */
  async task(id) {
    return (await this.#send("GET", this.#mine(`/tasks/${id}`))).body;
  }

  /** Changes the task. Throws `Changed` if it has changed since the caller read it. */
  async updateTask(task, changes) {
    return this.#ifUnchanged(
      task,
      async (headers) => (await this.#send("PUT", this.#mine(`/tasks/${task.id}`), { body: changes, headers })).body,
      (current) => Object.entries(changes).every(([field, value]) => current[field] === value),
    );
  }

  /** Deletes the task. Throws `Changed` if it has changed since the caller read it. */
  async deleteTask(task) {
    try {
      await this.#ifUnchanged(task, (headers) => this.#send("DELETE", this.#mine(`/tasks/${task.id}`), { headers }));
    } catch (error) {
      // Deleted by the attempt whose response was lost.
      if (!(error instanceof Problem && error.status === 403 && error.isRepeat)) throw error;
    }
  }

  /** Sends with the `If-Match` of the task as the caller read it. */
  async #ifUnchanged(task, send, isDone = () => false) {
    try {
      return await send({ "if-match": task.etag });
    } catch (error) {
      if (!(error instanceof Problem && error.status === 412)) throw error;
      const current = await this.task(task.id);
      // The change may be our own, by an attempt whose response was lost.
      if (error.isRepeat && isDone(current)) return current;
      throw new Changed(current);
    }
  }

  #mine(rest = "") {
    return `users/${this.session.user_id}${rest}`;
  }

  async #refresh() {
    const { session } = this;
    const body = this.#cookie ? {} : { refresh_token: session.refresh_token };
    // Of two tabs that refresh at once, the one with the older answer could be the last to set the cookie.
    const lock = this.#cookie ? `task-api ${this.#base.pathname}` : null;
    const options = { body, cookie: this.#cookie, lock, timeout: REFRESH_TIMEOUT, once: false };
    try {
      const next = withExpiry(await this.#call("POST", "users/token", options));
      // Unless the user has signed out or in again meanwhile.
      if (this.session === session) {
        this.session = next;
        this.#onSession(next);
      }
      return next;
    } catch (error) {
      if (error.status === 401) this.#end(session);
      throw error;
    }
  }

  /** Refreshes a session of which a token has expired. It has ended if it cannot be, or is another user's now. */
  async #renew(session) {
    if (this.session === session) await this.refresh();
    if (this.session !== null && this.session.user_id !== session.user_id) this.#end(this.session);
  }

  #end(session) {
    if (session === null || this.session !== session) return;
    this.session = null;
    this.#onSessionEnd();
  }

  /** Sends a request with the session's token, and with the next one if that has expired. */
  async #send(method, path, options) {
    const { session } = this;
    const isRenewable = this.#cookie || session.refresh_token !== undefined;
    if (isRenewable && session.expires_at < Date.now() + MARGIN) await this.#renew(session);
    try {
      return await this.#call(method, path, { ...options, token: this.session?.token });
    } catch (error) {
      if (!error.tokenIsInvalid) throw error;
      if (!isRenewable) this.#end(session);
      else await this.#renew(session);
      if (this.session === null) throw error;
      return await this.#call(method, path, { ...options, token: this.session.token, isRepeat: error.isRepeat });
    }
  }

  /**
   * Sends a request, and retries it while the failure may be temporary.
   *
   * Only idempotent requests are retried: GET, PUT and DELETE, and a POST with an `Idempotency-Key`. `Retry-After` is
   * respected; if it is longer than `PATIENCE`, the call fails.
   */
  async #call(method, path, options = {}) {
    const { token, body, headers = {}, cookie = false, lock = null, signal, timeout = TIMEOUT, isRepeat = false } = options;
    const { once = method === "POST" && !("idempotency-key" in headers) } = options;
    const url = new URL(path, this.#base);
    const credentials = cookie ? "same-origin" : "omit";
    const request = { method, headers: { ...headers }, credentials, cache: "no-store" };
    if (token !== undefined) request.headers.authorization = `Bearer ${token}`;
    if (body !== undefined) {
      request.headers["content-type"] = "application/json";
      request.body = JSON.stringify(body);
    }
    // So that a page may delete something as it is closed.
    request.keepalive = method === "DELETE";
    const pauses = once ? [] : [...PAUSES];
    let mayBeServed = isRepeat;
    try {
      for (;;) {
        try {
          return await alone(lock, () => this.#attempt(url, request, timeout, signal));
        } catch (error) {
          if (error instanceof Problem) error.isRepeat = mayBeServed;
          const mayPass = error instanceof NoAnswer || error.isPassing;
          const seconds = Math.max(pauses.shift() ?? Infinity, error.retryAfter ?? 0);
          if (!mayPass || seconds > PATIENCE) throw error;
          mayBeServed = true;
          this.#onWait({ seconds, error });
          await pause(seconds, signal);
        }
      }
    } finally {
      this.#onWait(null);
    }
  }

  async #attempt(url, request, milliseconds, signal) {
    const timeout = AbortSignal.timeout(milliseconds);
    let response, text;
    try {
      const signals = signal ? AbortSignal.any([signal, timeout]) : timeout;
      response = await this.#fetch(url, { ...request, signal: signals });
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      throw new NoAnswer(error);
    }
    const body = parse(text);
    if (!response.ok && response.status !== 304) throw new Problem(response, body ?? {});
    return { body, headers: response.headers, status: response.status };
  }
}

/** The session in a response, with the time its token expires at, in milliseconds since 1970. */
function withExpiry({ body }) {
  return { ...body, expires_at: Date.now() + body.expires_in * 1000 };
}

/** Runs when no other tab of this origin holds the lock. Where a cookie is kept, there are locks. */
function alone(lock, work) {
  return lock !== null && globalThis.navigator?.locks ? navigator.locks.request(lock, work) : work();
}

/** The API's base with a slash at its end, so that relative references stay below it. */
function folder(base) {
  const url = new URL(base, globalThis.document?.baseURI ?? globalThis.location?.href);
  url.search = url.hash = "";
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/** The target of `Link: <…>; rel="next"` (RFC 8288), which is relative to the URL of the request; or null. */
function nextLink(header, url) {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(header ?? "")?.[1];
  return target === undefined ? null : new URL(target, url).href;
}

/** A response from something between here and the API may not be JSON. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Waits, with jitter, so that clients that failed together do not retry together. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, seconds * 1000 + Math.random() * 300);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
