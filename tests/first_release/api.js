// A client of the Task API.
//
// It needs nothing else of this page and works from every origin the API allows: copy it.
//
//     const api = new TaskApi("https://api.example.com/");
//     await api.signUp("ada@example.com", "correct horse");
//     api.session = await api.signIn("ada@example.com", "correct horse");
//     const task = await api.createTask({ title: "Buy milk" }, newKey());
//     await api.updateTask(task, { completed: true });
//
// A call that fails throws a `Problem` (the API said no), `NoAnswer` (it could not be asked) or `Changed` (the task is
// no longer what the caller has seen). What may be sent twice is, after the time the API asks for: see `#send`.

/** The API's refusal, as it puts it: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(response, document) {
    super(document.detail ?? `The service answered with status ${response.status}.`);
    this.status = response.status;
    /** What is wrong with which field: `[{ field, detail }]`. */
    this.errors = document.errors ?? [];
    /** The request's name in the service's log. */
    this.requestId = document.request_id;
    /** Whole seconds to wait before the next attempt, or null. */
    this.retryAfter = /^\d+$/.test(response.headers.get("retry-after")) ? Number(response.headers.get("retry-after")) : null;
    /** The token has expired or was revoked (RFC 6750, section 3.1), as opposed to a wrong password. */
    this.tokenIsInvalid = /error="invalid_token"/.test(response.headers.get("www-authenticate"));
    /** An attempt before this one may have been served, and its answer lost. */
    this.isRepeat = false;
  }

  /**
   * Worth asking again: too many requests, or a part of the service that is away for the moment. A 500 of the API's own
   * is a defect and will be one again; one in other words comes from the gateway, which could not reach the function.
   */
  get isPassing() {
    return [429, 502, 503, 504].includes(this.status) || (this.status === 500 && this.requestId === undefined);
  }
}

/** No answer came: the request may have been served or not. */
export class NoAnswer extends Error {
  constructor(cause) {
    super("The service could not be reached.", { cause });
  }
}

/** The task is not, or no longer, the one that was to be changed; `current` is what it is now. */
export class Changed extends Error {
  constructor(current) {
    super("The task was changed elsewhere.");
    this.current = current;
  }
}

/** A new `Idempotency-Key`: however often a task is created under it, there is one. */
export function newKey() {
  // Not `crypto.randomUUID`, which there is on secure origins only.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How long to wait before each further attempt when the API does not say, in seconds. */
const PAUSES = [1, 2, 4];

/** The longest wait the API may ask for before a call fails instead, in seconds. */
const PATIENCE = 15;

/** When to stop waiting for an answer, in milliseconds: the gateway gives up after 30 s. */
const TIMEOUT = 35_000;

export class TaskApi {
  #base;
  #onWait;
  #onSessionEnd;

  /**
   * @param base where the API is
   * @param onWait told `{ seconds, error }` before a call is repeated, and null once it has ended
   * @param onSessionEnd told when the token of the session is no longer accepted
   */
  constructor(base, { onWait = () => {}, onSessionEnd = () => {} } = {}) {
    this.#base = base;
    this.#onWait = onWait;
    this.#onSessionEnd = onSessionEnd;
    /** `{ token, user_id }` of whoever is signed in: what `signIn` returns. */
    this.session = null;
  }

  /** The new account. 409 when the address has one, 422. */
  async signUp(email, password) {
    return (await this.#send("POST", "users/signup", { body: { email, password } })).body;
  }

  /** A session. 401 when the address or the password is wrong, 429 after too many attempts. */
  async signIn(email, password) {
    return (await this.#send("POST", "users/signin", { body: { email, password } })).body;
  }

  /** The account that is signed in. */
  async account() {
    return (await this.#send("GET", this.#mine())).body;
  }

  /** Changes the password, which ends every session of the account, this one too. 401 when the current one is wrong. */
  async changePassword(current, password) {
    // Not repeated: once it has worked, the token that would be sent again is dead.
    return (await this.#send("PUT", this.#mine(), { body: { current_password: current, password }, once: true })).body;
  }

  /** Deletes the account and all its tasks. */
  async deleteAccount() {
    await this.#send("DELETE", this.#mine(), { once: true });
  }

  /** A page of tasks, newest first: `{ tasks, next }`. With `next` of a page, the one after it. */
  async listTasks({ completed, limit, next, signal } = {}) {
    const query = Object.entries({ completed, limit }).filter(([, value]) => value !== undefined);
    const path = next ?? `${this.#mine("/tasks")}?${new URLSearchParams(query)}`;
    const { body, headers } = await this.#send("GET", path, { signal });
    return { tasks: body, next: nextLink(headers.get("link")) };
  }

  /** The new task, or the one that was made under this key before. 422 when the words break a rule. */
  async createTask(words, key) {
    return withTag(await this.#send("POST", this.#mine("/tasks"), { body: words, headers: { "idempotency-key": key } }));
  }

  /** A task as it is now. 403 when there is none. */
  async task(id) {
    return withTag(await this.#send("GET", this.#mine(`/tasks/${id}`)));
  }

  /** The task with `changes` made to it, if it is still what the caller has seen. Throws `Changed` when it is not. */
  async updateTask(task, changes) {
    return this.#ifUnchanged(
      task,
      async (headers) => withTag(await this.#send("PUT", this.#mine(`/tasks/${task.id}`), { body: changes, headers })),
      (current) => Object.entries(changes).every(([field, value]) => current[field] === value),
    );
  }

  /** Deletes the task, if it is still what the caller has seen. Throws `Changed` when it is not. */
  async deleteTask(task) {
    try {
      await this.#ifUnchanged(task, (headers) => this.#send("DELETE", this.#mine(`/tasks/${task.id}`), { headers }));
    } catch (error) {
      // Gone, by the attempt whose answer was lost.
      if (!(error instanceof Problem && error.status === 403 && error.isRepeat)) throw error;
    }
  }

  /**
   * Sends with the `If-Match` of the task as the caller has seen it.
   *
   * A task out of a list has no tag yet: it is fetched, and compared by its time.
   */
  async #ifUnchanged(task, send, isDone = () => false) {
    let tag = task.etag;
    if (tag === undefined) {
      const current = await this.task(task.id);
      if (current.updated_at !== task.updated_at) throw new Changed(current);
      tag = current.etag;
    }
    try {
      return await send({ "if-match": tag });
    } catch (error) {
      if (!(error instanceof Problem && error.status === 412)) throw error;
      const current = await this.task(task.id);
      // The change that is in the way may be our own, by an attempt whose answer was lost.
      if (error.isRepeat && isDone(current)) return current;
      throw new Changed(current);
    }
  }

  #mine(rest = "") {
    return `users/${this.session.user_id}${rest}`;
  }

  /**
   * Sends a request until there is an answer that will not pass.
   *
   * Repeated are only requests that come to the same when they are served twice: GET, PUT and DELETE, and a POST with
   * an `Idempotency-Key`. `Retry-After` is kept to; where it is long, the call fails and the caller can tell.
   */
  async #send(method, path, { body, headers = {}, signal, once = method === "POST" && !("idempotency-key" in headers) } = {}) {
    const { session } = this;
    const request = { method, headers: { ...headers }, credentials: "omit", cache: "no-store" };
    if (session) request.headers.authorization = `Bearer ${session.token}`;
    if (body !== undefined) {
      request.headers["content-type"] = "application/json";
      request.body = JSON.stringify(body);
    }
    const pauses = once ? [] : [...PAUSES];
    let mayBeServed = false;
    try {
      for (;;) {
        try {
          return await this.#attempt(path, request, signal);
        } catch (error) {
          if (error instanceof Problem) error.isRepeat = mayBeServed;
          if (error.tokenIsInvalid && this.session === session) this.#onSessionEnd();
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

  async #attempt(path, request, signal) {
    const timeout = AbortSignal.timeout(TIMEOUT);
    let response, text;
    try {
      const signals = signal ? AbortSignal.any([signal, timeout]) : timeout;
      response = await fetch(new URL(path, this.#base), { ...request, signal: signals });
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      throw new NoAnswer(error);
    }
    const body = parse(text);
    if (!response.ok) throw new Problem(response, body ?? {});
    return { body, headers: response.headers };
  }
}

/** The task in an answer, with the tag of exactly this state of it. */
function withTag({ body, headers }) {
  return { ...body, etag: headers.get("etag") };
}

/** The target of `Link: <…>; rel="next"` (RFC 8288), or null. */
function nextLink(header) {
  return /<([^>]*)>\s*;\s*rel="?next"?/.exec(header ?? "")?.[1] ?? null;
}

/** What does not come from the API, but from something on the way, may be no JSON. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Waits, with a little more than asked for, so that those who were turned away together do not come back together. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, seconds * 1000 + Math.random() * 300);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
