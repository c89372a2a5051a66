// Sending one change, for the version of the task that is there now.

import { Changed, Problem } from "./api.js";
import { FIELDS, collisions, difference, merged, pick, same } from "./merge.js";

/** A change that meets another one, made elsewhere: the person decides. */
export class Collision extends Error {
  /** @param conflict as a task shows it: `{ fields, theirs, mine, isDelete }` */
  constructor(conflict) {
    super("The task was changed elsewhere.");
    this.conflict = conflict;
  }
}

/**
 * Sends a change for `known`, the server's version as far as it is known. Returns the task as it is then, null if it is gone.
 *
 * It may have been sent before, and its response lost. Throws `Collision` and what `api` throws.
 */
export async function send(api, change, known) {
  if (change.kind === "create") return api.createTask(change.values, change.idempotency);
  const step = change.kind === "update" ? update : remove;
  for (let now = known; ; ) {
    try {
      return await step(api, change, now);
    } catch (error) {
      // With what is there now it may go well.
      if (error instanceof Changed) now = error.current;
      else if (error instanceof Problem && error.code === "no_such_task") now = null;
      else throw error;
    }
  }
}

/** Only what both have changed, to different values, is a collision. */
async function update(api, { changes, was }, now) {
  if (!now) throw new Collision({ fields: Object.keys(changes), theirs: null, mine: changes });
  const fields = collisions(changes, was, now);
  if (fields.length > 0) throw new Collision({ fields, theirs: now, mine: pick(changes, fields) });
  const wanted = difference(now, pick(merged(changes, was, now), Object.keys(changes)));
  return Object.keys(wanted).length > 0 ? api.updateTask(now, wanted) : now;
}

/** Deletes nothing that the person has not seen. */
async function remove(api, { was }, now) {
  if (!now) return null;
  const fields = FIELDS.filter((field) => !same(field, was[field], now[field]));
  if (fields.length > 0) throw new Collision({ fields, theirs: now, mine: {}, isDelete: true });
  await api.deleteTask(now);
  return null;
}
