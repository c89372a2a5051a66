// The replica: the account's tasks in this browser, and the changes that are on their way to the server.
//
// What is shown of a task is the server's version with the queued changes on top. Changes are sent in the order they were
// made, one at a time, by one tab at a time, and stay queued until there is a response: nothing is lost with a network, a
// tab or a browser. Each is safe to send twice: a creation has its key, a change and a deletion the version they apply to.

import { NoAnswer, Problem, newKey } from "./api.js";
import { sentence } from "./forms.js";
import { FIELDS, difference, merged, pick, same } from "./merge.js";
import { Queue } from "./queue.js";
import { Collision, send } from "./send.js";

/** How long a deletion is held back, and can be undone without a trace; in milliseconds. */
export const UNDO_MS = 10_000;

/** The first page is small, to be there soon; then as many tasks as the API gives at once. */
const FIRST_PAGE = 25;
const PAGE = 100;

/** How often a visible page asks what has changed elsewhere, in milliseconds. */
const POLL_MS = 60_000;

/** The pauses before what could not be sent is sent again, in milliseconds; the last one for good. */
const PAUSES = [2_000, 5_000, 15_000, 30_000];

/** Statements of the API that began earlier than a newer one may end later, by less than this; in milliseconds. */
const OVERLAP_MS = 10_000;

const NEW_TASK = { description: null, status: "pending", priority: null, due_date: null, tags: [] };

/** The account's tasks. Its "change" event says that anything of what is public here has changed. */
export class Replica extends EventTarget {
  /** The tasks as they are shown, by key; a key stays the same when a new task gets its id. */
  tasks = new Map();
  /** Nothing is known yet. */
  isLoading = true;
  /** Every task of the account is here. */
  isComplete = false;
  /** The last request found no network, or no service. */
  isOffline = false;
  /** Why the tasks could not be loaded, or null. */
  loadError = null;

  #api;
  #store;
  #tabs;
  #lock;
  #user = null;
  /** The server's versions by key, and the keys by id. */
  #base = new Map();
  #keys = new Map();
  #queue;
  /** What is known of the server's list: see `#pull`. */
  #facts = {};
  /** The keys whose shown task is out of date. */
  #stale = new Set();
  #isAnnounced = true;
  /** The ids of the removals that this tab has queued. */
  #removals = new Set();
  #failures = 0;
  #timers = {};
  /** The work that is under way; whether there is more to do; whether that is to ask for changes elsewhere. */
  #running;
  #isRunning = false;
  #isAskedAgain = false;
  #isPullDue = false;

  /**
   * @param api the client; its session may come later
   * @param store where the replica is kept
   * @param name the name of the tabs that share the store
   */
  constructor(api, store, name) {
    super();
    this.#api = api;
    this.#store = store;
    this.#queue = new Queue(store);
    this.#lock = `task-api-queue ${name}`;
    this.#tabs = new BroadcastChannel(this.#lock);
    this.#tabs.addEventListener("message", ({ data }) => this.#hear(data));
    addEventListener("online", () => this.sync());
    addEventListener("focus", () => this.sync());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.sync());
    // What has been deleted shall be gone when the page is.
    addEventListener("pagehide", () => this.#release());
  }

  /** How many changes are not sent yet. */
  get waiting() {
    return this.#queue.size;
  }

  /** The user whose tasks the browser keeps, or null. */
  async keeper() {
    return (await this.#store.fact("user")) ?? null;
  }

  /** Shows what is here of this user, and asks the server for the rest. What is another user's is forgotten. */
  async open(user) {
    if ((await this.keeper()) !== user) {
      await this.#store.clear();
      await this.#store.write({ facts: { user } });
    }
    await this.#queue.recover();
    const { tasks, queue, facts } = await this.#store.read();
    this.#reset();
    this.#user = user;
    this.#facts = facts;
    for (const task of tasks) this.#put(task);
    for (const change of queue) this.#queue.put(change);
    this.#touch(queue.map(({ key }) => key));
    this.isComplete = facts.since !== undefined;
    this.isLoading = !this.isComplete && this.#base.size === 0;
    await this.sync();
  }

  /** Stops, and shows nothing; what is kept stays for when the same user is back. */
  close() {
    this.#reset();
    this.#announce();
  }

  /** Stops, and keeps nothing. */
  async forget() {
    this.close();
    await this.#store.clear();
  }

  // ---- changes

  /** Creates a task, and returns its key. */
  create(values) {
    return this.createAll([values])[0];
  }

  /** Creates tasks in this order, and returns their keys. They are kept together or not at all. */
  createAll(list) {
    const queued = list.map((values) => {
      return { kind: "create", key: newKey(), idempotency: newKey(), values: { ...NEW_TASK, ...values } };
    });
    this.#enqueue(queued);
    return queued.map(({ key }) => key);
  }

  /**
   * Changes a task. `was` is the task as the person saw it when the change began: a field that has changed elsewhere since,
   * to something else, is asked about.
   */
  update(key, changes, was = this.tasks.get(key)) {
    if (this.#queue.stopped(key)?.failure) return this.#amend(key, changes);
    const change = { kind: "update", key, changes: difference(was, changes), was: pick(was, FIELDS) };
    if (Object.keys(change.changes).length === 0) return () => {};
    this.#enqueue([change]);
    return once(() => this.#revert(change));
  }

  /** Deletes a task, after `UNDO_MS`. */
  remove(key) {
    return this.removeAll([key]);
  }

  removeAll(keys) {
    const held = Date.now() + UNDO_MS;
    const tasks = keys.map((key) => this.tasks.get(key));
    const queued = tasks.map((was) => ({ kind: "remove", key: was.key, was: pick(was, FIELDS), held }));
    this.#enqueue(queued);
    for (const { id } of queued) this.#removals.add(id);
    return once(() => queued.forEach((change) => this.#revert(change)));
  }

  /** Takes a change back: out of the queue if it is still there, and else by the opposite. */
  async #revert(change) {
    const { key, kind, was, changes } = change;
    const left = await this.#queue.edit(change, (it) => (it.isSending ? undefined : null));
    if (left === null) this.#changed([key]);
    // It is gone, or will be.
    else if (kind === "remove" && !this.tasks.has(key)) this.create(was);
    else if (kind === "update" && this.tasks.has(key)) this.update(key, pick(was, Object.keys(changes)));
  }

  // ---- what the server did not take

  /** Sends a refused change again. */
  retry(key) {
    return this.#settle(key, (change) => change);
  }

  /** Drops a refused change. A task that was never created goes with it. */
  async discard(key) {
    if (this.#queue.stopped(key)?.kind === "create") await this.#dropAll(key);
    else await this.#settle(key, () => null);
  }

  /** Decides a conflict: for what the person wants ("mine"), or for what the task is now ("theirs"). */
  async resolve(key, whose) {
    const { fields, theirs } = this.#queue.stopped(key)?.conflict ?? {};
    if (whose === "theirs") {
      if (!theirs) return this.#dropAll(key);
      return this.#settle(key, (change) => {
        const left = Object.entries(change.changes ?? {}).filter(([field]) => !fields.includes(field));
        return left.length > 0 ? { ...change, changes: Object.fromEntries(left) } : null;
      });
    }
    return this.#settle(key, (change) => {
      if (theirs) return { ...change, was: pick(theirs, FIELDS) };
      return { ...change, kind: "create", idempotency: newKey(), values: { ...change.was, ...change.changes } };
    });
  }

  /** Gives a refused change other values. */
  #amend(key, changes) {
    this.#settle(key, (change) => {
      const field = change.kind === "create" ? "values" : "changes";
      return { ...change, [field]: { ...change[field], ...changes } };
    });
    return () => {};
  }

  /** Sends what `edit` makes of the change that was stopped; null drops it. */
  async #settle(key, edit) {
    const stopped = this.#queue.stopped(key);
    if (!stopped) return;
    const restart = ({ failure, conflict, isSending, ...change }) => edit(change);
    await this.#queue.edit(stopped, restart);
    this.#changed([key]);
  }

  async #dropAll(key) {
    for (const change of this.#queue.of(key)) await this.#queue.edit(change, () => null);
    this.#changed([key]);
  }

  // ---- sending

  /** Sends what is queued, and then asks for what has changed elsewhere. */
  sync() {
    this.#isPullDue = true;
    return this.#work();
  }

  /** Sends everything that can be sent, also what is held back for an undo. */
  async flush() {
    for (const change of this.#queue.held) await this.#queue.edit(change, (it) => ({ ...it, held: 0 }));
    await this.#work();
  }

  /** One thing at a time. */
  #work() {
    this.#isAskedAgain = true;
    if (!this.#isRunning) this.#running = this.#untilDone();
    return this.#running;
  }

  async #untilDone() {
    this.#isRunning = true;
    while (this.#isAskedAgain && this.#user !== null) {
      this.#isAskedAgain = false;
      await this.#once(this.#user);
    }
    this.#isRunning = false;
  }

  async #once(user) {
    clearTimeout(this.#timers.sync);
    let pause = POLL_MS;
    try {
      await this.#drain(user);
      if (this.#isPullDue) await this.#pullOnce(user);
      this.#failures = 0;
      this.isOffline = false;
      this.loadError = null;
    } catch (error) {
      if (isPassing(error)) {
        pause = Math.max(PAUSES[Math.min(this.#failures++, PAUSES.length - 1)], (error.retryAfter ?? 0) * 1000);
        this.isOffline = true;
      } else if (error.status !== 401) {
        console.error(error);
      }
      if (!this.isComplete) this.loadError = error;
    }
    if (this.#user !== user) return;
    this.#announce();
    this.#timers.sync = setTimeout(() => this.#wake(), pause);
  }

  async #pullOnce(user) {
    this.#isPullDue = false;
    try {
      await this.#pull(user);
    } catch (error) {
      this.#isPullDue = true;
      throw error;
    }
  }

  /** A page that nobody looks at asks for nothing, and still sends what it has. */
  #wake() {
    if (document.visibilityState === "visible") this.sync();
    else this.#work();
  }

  /** Sends the queued changes. Throws what may pass, and what ends the session. */
  #drain(user) {
    return alone(this.#lock, async () => {
      // Other tabs may have sent some, and have left others.
      this.#touch(await this.#queue.reread());
      while (this.#user === user) {
        const { change, due } = this.#queue.next();
        if (!change) return this.#wakeAt(due);
        // Not if the person takes it back at this moment.
        const taken = await this.#queue.edit(change, (it) => ({ ...it, isSending: true }));
        if (taken) await this.#settleWith(user, taken, () => send(this.#api, taken, this.#base.get(taken.key)));
        else this.#queue.drop(change);
      }
    });
  }

  /** Takes what the server made of a change; keeps one that was refused or that meets another, until the person decides. */
  async #settleWith(user, change, answer) {
    try {
      const task = await answer();
      if (this.#user === user) await this.#commit(change, task);
    } catch (error) {
      if (this.#user !== user) return;
      if (isPassing(error) || error.status === 401) throw error;
      const isCollision = error instanceof Collision;
      const stop = isCollision ? { conflict: error.conflict } : { failure: sentence(error) };
      await this.#queue.edit(change, (it) => ({ ...it, ...stop }));
      if (isCollision) await this.#learn(change.key, error.conflict.theirs);
      else this.#changed([change.key]);
    }
    if (this.isOffline) {
      this.isOffline = false;
      this.#failures = 0;
      this.#announce();
    }
  }

  #wakeAt(due) {
    clearTimeout(this.#timers.held);
    if (due < Infinity) this.#timers.held = setTimeout(() => this.#work(), due - Date.now() + 1);
  }

  /** The change is done, and the task is this now; null when it is gone. */
  async #commit(change, task) {
    const made = change.changes ?? change.values ?? {};
    const later = task ? this.#queue.of(change.key).filter(({ id, was }) => id > change.id && was) : [];
    const rebased = later.map((it) => afterwards(it, made, task));
    this.#queue.drop(change);
    for (const it of rebased) this.#queue.put(it);
    await this.#learn(change.key, task, { dequeue: [change.id], enqueue: rebased });
  }

  /** The server's version of the task is this now. */
  async #learn(key, task, writes = {}) {
    const known = this.#base.get(key);
    const put = task ? [{ ...task, key }] : [];
    await this.#store.write({ ...writes, put, drop: task || !known ? [] : [known.id] });
    if (task) this.#put(put[0]);
    else this.#drop(key);
    this.#changed([key], put, task ? [] : [key]);
  }

  /**
   * Deletes what this tab has held back for an undo, which ends with it. There is no time for the queue: the next page finds
   * it done.
   */
  #release() {
    for (const { key } of this.#queue.held.filter(({ id }) => this.#removals.has(id))) {
      const task = this.#base.get(key);
      if (task) this.#api.deleteTask(task).catch(() => {});
    }
  }

  // ---- receiving

  /**
   * Asks for what has changed elsewhere.
   *
   * The list by `-updated_at` has what has changed since the last time on its first page, nearly always. What was deleted is
   * missing where the page is the whole list; where it is not, the number of tasks tells.
   */
  async #pull(user) {
    if (!this.isComplete) return this.#loadAll(user);
    await alone(this.#lock, async () => {
      const first = await this.#api.listTasks({ sort: "-updated_at", limit: PAGE, known: this.#facts.tag });
      if (first !== null) return this.#receiveChanges(user, first);
      // The list is as it was the last time: what was created here since then is gone again.
      if (this.#facts.whole) await this.#receive(user, [], this.#missing(this.#facts.whole), {});
    });
    if (this.#facts.whole || this.#user !== user) return;
    const { tasks } = await this.#api.summary();
    if (tasks.pending + tasks.in_progress + tasks.completed !== this.#base.size) await this.#loadAll(user);
  }

  /** Takes what has changed since the last time: the first page, and as many more as it needs. */
  async #receiveChanges(user, first) {
    const known = Date.parse(this.#facts.since) - OVERLAP_MS;
    const tasks = [...first.tasks];
    let page = first;
    while (page.next !== null && !(Date.parse(page.tasks.at(-1).updated_at) < known)) {
      page = await this.#api.listTasks({ next: page.next });
      tasks.push(...page.tasks);
    }
    const ids = tasks.map(({ id }) => id);
    const gone = page.next === null ? this.#missing(ids) : [];
    const since = first.tasks[0]?.updated_at ?? "";
    // `whole` has the ids of the whole list, where it is one page.
    await this.#receive(user, tasks, gone, { since, tag: first.etag, whole: first.next === null ? ids : null });
  }

  /** The ids of the tasks here that are not among these. */
  #missing(ids) {
    const known = new Set(ids);
    return [...this.#keys.keys()].filter((id) => !known.has(id));
  }

  /** Loads every page. */
  async #loadAll(user) {
    const before = new Set(this.#keys.keys());
    let since = null;
    for (let next, limit = FIRST_PAGE; next !== null && this.#user === user; limit = PAGE) {
      if (next) await this.#drain(user);
      await alone(this.#lock, async () => {
        const page = await this.#api.listTasks(next ? { next, limit } : { limit });
        next = page.next;
        since ??= page.tasks.reduce((latest, { updated_at }) => (updated_at > latest ? updated_at : latest), "");
        for (const { id } of page.tasks) before.delete(id);
        const gone = next === null ? [...before] : [];
        await this.#receive(user, page.tasks, gone, next === null ? { since, tag: undefined, whole: null } : {});
      });
    }
    if (this.#user !== user) return;
    this.isComplete = true;
    this.#announce();
  }

  /** Takes what the server has told, unless what is here is newer. */
  async #receive(user, tasks, gone, facts) {
    if (this.#user !== user) return;
    // A task that another tab has created has its key in the store, perhaps before this tab has heard of it.
    const unknown = tasks.filter(({ id }) => !this.#keys.has(id));
    for (const task of await this.#store.tasks(unknown.map(({ id }) => id))) this.#put(task);
    const isNews = (task) => !(this.#base.get(this.#keys.get(task.id))?.etag === task.etag);
    const put = tasks.filter(isNews).map((task) => ({ ...task, key: this.#keys.get(task.id) ?? task.id }));
    const drop = gone.map((id) => this.#keys.get(id));
    await this.#store.write({ put, drop: gone, facts });
    if (this.#user !== user) return;
    Object.assign(this.#facts, facts);
    for (const task of put) this.#put(task);
    for (const key of drop) this.#drop(key);
    this.isLoading = false;
    this.#tell({ put, drop });
    this.#announce();
  }

  // ---- the tasks as they are shown

  #put(task) {
    // Before this tab knew the key of a task that another one has made, it had the id as its key.
    const other = this.#keys.get(task.id);
    if (other !== undefined && other !== task.key) this.#drop(other);
    this.#base.set(task.key, task);
    this.#keys.set(task.id, task.key);
    this.#stale.add(task.key);
  }

  #drop(key) {
    this.#keys.delete(this.#base.get(key)?.id);
    this.#base.delete(key);
    this.#stale.add(key);
  }

  #show(key) {
    const changes = this.#queue.of(key);
    const stopped = this.#queue.stopped(key);
    let task = changes.reduce(apply, this.#base.get(key) ?? null);
    // It was deleted elsewhere, and the person has not decided yet.
    if (!task && stopped?.conflict) task = newTask({ ...stopped.was, ...stopped.changes }, stopped.at);
    if (!task) {
      this.tasks.delete(key);
      return;
    }
    const { failure = null, conflict = null } = stopped ?? {};
    const queued = changes.map(({ id }) => id);
    this.tasks.set(key, { ...task, key, queued, failure, conflict });
  }

  /** Shows it, once for all that happens at a time. */
  #announce() {
    if (!this.#isAnnounced) return;
    this.#isAnnounced = false;
    queueMicrotask(() => {
      this.#isAnnounced = true;
      this.#refresh();
      this.dispatchEvent(new Event("change"));
    });
  }

  #refresh() {
    for (const key of this.#stale) this.#show(key);
    this.#stale.clear();
  }

  #touch(keys) {
    for (const key of keys) this.#stale.add(key);
    this.#announce();
  }

  // ---- the queue, and the other tabs

  #enqueue(changes) {
    if (changes.length === 0) return;
    const keys = changes.map(({ key }) => key);
    const kept = this.#queue.add(changes);
    this.#touch(keys);
    this.#refresh();
    kept.then(() => this.#changed(keys));
  }

  /** The queue or the server's versions have changed: shows it here and in the other tabs, and sends what is to send. */
  #changed(keys, put = [], drop = []) {
    this.#touch(keys);
    this.#tell({ queue: keys, put, drop });
    if (!this.#isRunning || this.#queue.size > 0) this.#work();
  }

  #tell(news) {
    this.#tabs.postMessage({ user: this.#user, ...news });
  }

  async #hear({ user, queue = [], put = [], drop = [] }) {
    if (user !== this.#user) return;
    for (const key of drop) this.#drop(key);
    for (const task of put) this.#put(task);
    if (queue.length > 0) this.#touch(await this.#queue.reread());
    this.#announce();
  }

  #reset() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#user = null;
    for (const collection of [this.tasks, this.#base, this.#keys, this.#stale]) collection.clear();
    this.#queue.clear();
    this.#facts = {};
    this.#failures = 0;
    this.isLoading = true;
    this.isComplete = this.isOffline = false;
    this.loadError = null;
  }
}

/** What a change makes of a task that may not be there. */
function apply(task, change) {
  switch (change.kind) {
    case "create":
      return newTask(change.values, change.at);
    case "update":
      return task && merged(change.changes, change.was, task);
    case "remove":
      return change.conflict ? task : null;
  }
}

function newTask(values, at) {
  return { ...values, id: null, completed: values.status === "completed", created_at: at, updated_at: at };
}

/** Whether the same request may succeed later. */
function isPassing(error) {
  return error instanceof NoAnswer || (error instanceof Problem && error.isPassing);
}

/** A later change of a task, made of what `made` has made of it, which the server may have written in another way. */
function afterwards(later, made, task) {
  const fields = Object.keys(made).filter((field) => same(field, later.was[field], made[field]));
  return { ...later, was: { ...later.was, ...pick(task, fields) } };
}

function once(work) {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}

/** Runs `work` in one tab at a time. Insecure origins have no locks; there the requests themselves are safe to repeat. */
function alone(lock, work) {
  return navigator.locks ? navigator.locks.request(lock, work) : work();
}
