// The changes that are on their way to the server, in the order they were made. They are kept in the store, where all tabs
// find them; a tab knows of the others' changes after `reread`.
//
// A change is `{ id, at, kind, key }` and, by its kind, `create`: `values` and its `idempotency` key; `update`: `changes`,
// and `was`, the task as the person saw it; `remove`: `was`, and `held`, the time until which it can be undone. While it is
// sent it has `isSending`; one that was stopped has a `failure` or a `conflict`.

import { draft, draftsLike, keepDraft } from "./session.js";

export class Queue {
  #store;
  #changes = new Map();
  #byKey = new Map();
  /** Those that are not in the store yet. */
  #unsaved = new Map();

  constructor(store) {
    this.#store = store;
  }

  get size() {
    return this.#changes.size;
  }

  get held() {
    return [...this.#changes.values()].filter((change) => change.held > Date.now());
  }

  /** The changes of a task. */
  of(key) {
    return this.#byKey.get(key) ?? [];
  }

  /** The change of a task that waits for the person's decision. */
  stopped(key) {
    return this.of(key).find(isStopped);
  }

  /** Shows the queue as it is stored. Returns the keys of its tasks, before and now. */
  async reread() {
    const changes = await this.#store.queue();
    const before = [...this.#byKey.keys()];
    const unsaved = [...this.#unsaved.values()];
    this.clear();
    for (const change of [...changes, ...unsaved]) this.put(change);
    return [...before, ...this.#byKey.keys()];
  }

  /** Stores what the page had no time to store when it was left. */
  async recover() {
    for (const name of draftsLike("queue ")) {
      await this.#store.write({ enqueue: JSON.parse(draft(name)) });
      keepDraft(name, null);
    }
  }

  /** Appends changes. They are here at once, and kept when the promise is fulfilled. */
  async add(changes) {
    let last = [...this.#changes.keys()].at(-1) ?? 0;
    const at = new Date().toISOString();
    for (const change of changes) {
      // By time, and with a part that tells tabs apart.
      last = Math.max(Date.now() * 1000 + Math.floor(Math.random() * 1000), last + 1);
      this.put(Object.assign(change, { id: last, at }));
      this.#unsaved.set(last, change);
    }
    // The database takes its time, which a page that is left at once does not have.
    const name = `queue ${last}`;
    keepDraft(name, JSON.stringify(changes));
    await this.#store.write({ enqueue: changes });
    keepDraft(name, null);
    for (const { id } of changes) this.#unsaved.delete(id);
  }

  /** Replaces a change by what `edit` makes of it, as `Store.edit` does. */
  async edit(change, edit) {
    const edited = await this.#store.edit(change.id, edit);
    if (edited) this.put(edited);
    else if (edited === null) this.drop(change);
    return edited;
  }

  /**
   * The first change that may be sent: `{ change }`, or `{ due }`, the time at which there may be one. Of one task, none
   * overtakes another.
   */
  next() {
    const waiting = new Set();
    let due = Infinity;
    for (const change of this.#changes.values()) {
      if (waiting.has(change.key)) continue;
      const isHeld = change.held > Date.now();
      if (!isStopped(change) && !isHeld) return { change };
      if (isHeld) due = Math.min(due, change.held);
      waiting.add(change.key);
    }
    return { due };
  }

  put(change) {
    this.#changes.set(change.id, change);
    const others = this.of(change.key).filter(({ id }) => id !== change.id);
    this.#byKey.set(change.key, [...others, change].sort((a, b) => a.id - b.id));
  }

  drop({ id, key }) {
    this.#changes.delete(id);
    const left = this.of(key).filter((change) => change.id !== id);
    if (left.length > 0) this.#byKey.set(key, left);
    else this.#byKey.delete(key);
  }

  clear() {
    this.#changes.clear();
    this.#byKey.clear();
  }
}

const isStopped = (change) => Boolean(change.failure || change.conflict);
