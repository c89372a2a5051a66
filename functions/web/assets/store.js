// What the page keeps in the browser: one person's tasks, and the changes that are still to be sent.
//
// It is in IndexedDB, which all tabs share. Where that is not available, as in some private windows, or is full, it is in
// this tab's memory, and ends with it.

const STORES = ["tasks", "queue", "facts"];

/** Opens the store of this name. Never fails. */
export async function openStore(name) {
  try {
    return new Store(await openDatabase(name));
  } catch (error) {
    console.warn("Nothing can be kept in this browser.", error);
    return new Store(null);
  }
}

/**
 * Tasks by `id`, changes by `id` in the order of sending, and facts by name: `user` (whose store it is), and what the
 * replica knows of the server's list.
 */
class Store {
  #database;
  /** In place of a database. */
  #memory = Object.fromEntries(STORES.map((store) => [store, new Map()]));

  constructor(database) {
    this.#database = database;
    // Another tab has a newer release of the page.
    if (database) database.onversionchange = () => database.close();
  }

  /** Everything: `{ tasks, queue, facts }`. */
  async read() {
    const [tasks, queue, facts] = await Promise.all(STORES.map((store) => this.#all(store)));
    return { tasks, queue, facts: Object.fromEntries(facts.map(({ id, value }) => [id, value])) };
  }

  /** A fact by its name, or undefined. */
  async fact(id) {
    return (await this.#run(["facts"], "readonly", ({ facts }) => facts.get(id)))?.value;
  }

  /** The changes, in the order of sending. */
  queue() {
    return this.#all("queue");
  }

  /** The tasks of these ids that are here. */
  async tasks(ids) {
    const found = await Promise.all(ids.map((id) => this.#run(["tasks"], "readonly", ({ tasks }) => tasks.get(id))));
    return found.filter((task) => task !== undefined);
  }

  /** Makes all of these changes or none: tasks to put and ids to drop, the same of the queue, and facts. */
  write({ put = [], drop = [], enqueue = [], dequeue = [], facts = {} }) {
    return this.#run(STORES, "readwrite", (stores) => {
      for (const id of drop) stores.tasks.delete(id);
      for (const task of put) stores.tasks.put(task);
      for (const id of dequeue) stores.queue.delete(id);
      for (const change of enqueue) stores.queue.put(change);
      for (const [id, value] of Object.entries(facts)) stores.facts.put({ id, value });
    });
  }

  /**
   * Replaces a queued change by what `edit` makes of it; null takes it out. Nothing happens if `edit` returns undefined, or
   * if the change is not there any more. Returns what is there now, or undefined.
   */
  async edit(id, edit) {
    let result;
    await this.#run(["queue"], "readwrite", ({ queue }) => {
      const found = queue.get(id);
      const finish = (change) => {
        if (change === undefined) return;
        result = edit(change);
        if (result === null) queue.delete(id);
        else if (result !== undefined) queue.put(result);
      };
      if (this.#database) found.onsuccess = () => finish(found.result);
      else finish(found);
    });
    return result;
  }

  /** Forgets everything. */
  clear() {
    return this.#run(STORES, "readwrite", (stores) => STORES.forEach((store) => stores[store].clear()));
  }

  #all(store) {
    return this.#run([store], "readonly", (stores) => stores[store].getAll());
  }

  /** Runs `work` in a transaction, and returns the result of the request that it returns. */
  async #run(names, mode, work) {
    if (this.#database) {
      try {
        return await this.#transaction(names, mode, work);
      } catch (error) {
        await this.#retreat(error);
      }
    }
    return work(memoryStores(this.#memory));
  }

  /** Goes on in memory, with all that can still be read. */
  async #retreat(error) {
    console.warn("Nothing more can be kept in this browser.", error);
    for (const name of STORES) {
      const values = await this.#transaction([name], "readonly", (stores) => stores[name].getAll()).catch(() => []);
      this.#memory[name] = new Map(values.map((value) => [value.id, value]));
    }
    this.#database = null;
  }

  #transaction(names, mode, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(names, mode);
      const request = work(Object.fromEntries(names.map((name) => [name, transaction.objectStore(name)])));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }
}

function memoryStores(memory) {
  const entries = STORES.map((name) => {
    const map = memory[name];
    const getAll = () => [...map.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const put = (value) => void map.set(value.id, value);
    return [name, { get: (id) => map.get(id), delete: (id) => map.delete(id), clear: () => map.clear(), put, getAll }];
  });
  return Object.fromEntries(entries);
}

function openDatabase(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store, { keyPath: "id" }));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
