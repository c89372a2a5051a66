// A walk through the API at API_URL, with a client by openapi-typescript and openapi-fetch:
//
//     openapi-typescript openapi.json --output task-api.d.ts
//     tsc
//     node walk.ts
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./task-api";

type Problem = components["schemas"]["Problem"] | components["schemas"]["Invalid"];

const api = createClient<paths>({ baseUrl: process.env["API_URL"] ?? "http://127.0.0.1:9000" });

/** The body of an answer that must be a success. */
function success<Body>({ data, error }: { data?: Body; error?: Problem }): Body {
  if (data === undefined) throw new Error(error?.detail ?? "an answer without a body");
  return data;
}

/** A header that must be there. */
function header(response: Response, name: string): string {
  const value = response.headers.get(name);
  assert(value !== null, `${name} is missing`);
  return value;
}

/** The cursor of the next page, if there is one. */
function nextCursor({ headers, url }: Response): string | undefined {
  const link = /^<([^>]+)>; rel="next"$/.exec(headers.get("Link") ?? "");
  return link?.[1] && (new URL(link[1], url).searchParams.get("cursor") ?? undefined);
}

// Sign up, and in.
const account = { email: `ada.${crypto.randomUUID()}@example.com`, password: "correct horse" };
const { id } = success(await api.POST("/users/signup", { body: account }));
const signedIn = success(await api.POST("/users/signin", { body: account }));
assert.equal(signedIn.user_id, id);

// Get the session's next token.
const { refresh_token } = signedIn;
assert(refresh_token !== undefined);
const session = success(await api.POST("/users/token", { body: { refresh_token } }));
assert.equal(session.session_id, signedIn.session_id);
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `${session.token_type} ${session.token}`);
  },
});
const user = { user_id: session.user_id };

// Create tasks.
const titles = ["Buy milk", "Bake bread", "Call Charles"];
for (const title of titles) {
  const task = success(await api.POST("/users/{user_id}/tasks", { params: { path: user }, body: { title } }));
  assert.equal(task.description, null);
}
const invalid = await api.POST("/users/{user_id}/tasks", { params: { path: user }, body: { title: "" } });
assert(invalid.error !== undefined && "errors" in invalid.error);
assert.deepEqual(invalid.error.errors.map(({ field }) => field), ["title"]);

// List them, page by page.
const tasks: components["schemas"]["Task"][] = [];
let cursor: string | undefined;
do {
  const query = { limit: 2, ...(cursor !== undefined && { cursor }) };
  const page = await api.GET("/users/{user_id}/tasks", { params: { path: user, query } });
  tasks.push(...success(page));
  cursor = nextCursor(page.response);
} while (cursor !== undefined);
assert.deepEqual(tasks.map(({ title }) => title), titles.toReversed());

// Change one, unless it has changed since it was read.
const [newest] = tasks;
assert(newest !== undefined);
const path = { ...user, task_id: newest.id };
const read = await api.GET("/users/{user_id}/tasks/{task_id}", { params: { path } });
assert.deepEqual(success(read), newest);
const condition = { "If-Match": header(read.response, "ETag") };
const change = { params: { path, header: condition }, body: { completed: true } };
assert.equal(success(await api.PUT("/users/{user_id}/tasks/{task_id}", change)).completed, true);
const stale = await api.PUT("/users/{user_id}/tasks/{task_id}", change);
assert.equal(stale.error?.status, 412);
assert.equal(stale.error.title, "Precondition Failed");

// There is one session.
const [current, ...others] = success(await api.GET("/users/{user_id}/sessions", { params: { path: user } }));
assert(current?.current && current.id === session.session_id && others.length === 0);

// Delete the task, and the account.
const deleted = await api.DELETE("/users/{user_id}/tasks/{task_id}", { params: { path } });
assert.equal(deleted.response.status, 204);
const missing = await api.GET("/users/{user_id}/tasks/{task_id}", { params: { path } });
assert.equal(missing.error?.status, 403);
assert.equal((await api.DELETE("/users/{user_id}", { params: { path: user } })).response.status, 204);
console.log(`walked through ${tasks.length} tasks`);
