// Three routes of the API (health, the list of tasks, a new task) as a function in Node.js has them, on the same schema and
// with the same tokens. A list has no filters, sorts or cursors here, and a new task no tags.
import { readFileSync } from "node:fs";

import { calculateJwkThumbprint, importJWK, jwtVerify } from "jose";
import pg from "pg";

// Times are UTC, to the microsecond.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMP, (text) => `${text.replace(" ", "T")}Z`);

const url = new URL(process.env.DATABASE_URL);
url.search = ""; // `ssl` below is stricter.
// Without a name, a statement is not prepared, which the transaction pooler would not allow.
const pool = new pg.Pool({
  connectionString: url.href,
  max: 1,
  ssl: { ca: readFileSync(process.env.DATABASE_CA_FILE, "utf8") },
});
pool.on("error", () => {}); // The next query connects again.

const keys = new Map();
for (const x of process.env.JWT_PUBLIC_KEYS.split(",")) {
  const jwk = { kty: "OKP", crv: "Ed25519", x };
  keys.set(await calculateJwkThumbprint(jwk), await importJWK(jwk, "EdDSA"));
}
await pool.query("SELECT 1");

class Problem extends Error {
  constructor(status, title, headers = {}) {
    super(title);
    Object.assign(this, { status, headers });
  }
}

function respond(status, body, headers = {}) {
  return {
    statusCode: status,
    headers: { "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff", ...headers },
    body: JSON.stringify(body),
  };
}

async function authenticate(event) {
  const [scheme, token] = (event.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token) throw new Problem(401, "Unauthorized", { "www-authenticate": "Bearer" });
  let claims;
  try {
    const options = { issuer: "task-api", audience: "task-api", algorithms: ["EdDSA"], requiredClaims: ["exp", "sid"] };
    claims = (await jwtVerify(token, (header) => keys.get(header.kid), options)).payload;
  } catch {
    throw new Problem(401, "Unauthorized", { "www-authenticate": 'Bearer error="invalid_token"' });
  }
  const user = event.pathParameters.user_id;
  if (user !== "me" && user !== claims.sub) throw new Problem(403, "Forbidden");
  return claims;
}

const etag = (task) => `"${Buffer.from(task.updated_at).toString("base64url")}"`;
const toTask = (row) => ({ ...row, completed: row.status === "completed", etag: etag(row) });

async function health() {
  await pool.query("SELECT 1");
  return respond(200, { status: "ok" });
}

const COLUMNS = "id, user_id, title, description, status, priority, due_date, created_at, updated_at";

async function list(event) {
  const { sub, sid } = await authenticate(event);
  const limit = Number(event.queryStringParameters?.limit ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw new Problem(400, "Bad Request");
  const { rows } = await pool.query(
    `SELECT task.*, ARRAY(SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = task.id ORDER BY name) AS tags
     FROM sessions LEFT JOIN (
       SELECT ${COLUMNS} FROM tasks WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $3
     ) AS task ON true
     WHERE sessions.id = $2 AND sessions.user_id = $1`,
    [sub, sid, limit],
  );
  if (rows.length === 0) throw new Problem(401, "Unauthorized", { "www-authenticate": 'Bearer error="invalid_token"' });
  return respond(200, rows.filter((row) => row.id).map(toTask));
}

async function create(event) {
  const { sub, sid } = await authenticate(event);
  const text = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body;
  let task;
  try {
    task = JSON.parse(text);
  } catch {
    throw new Problem(400, "Bad Request");
  }
  const title = typeof task.title === "string" ? task.title.trim() : "";
  if (title.length < 1 || title.length > 500) throw new Problem(422, "Unprocessable Content");
  const { description = null, status = "pending", priority = null, due_date = null } = task;
  const { rows } = await pool.query(
    `INSERT INTO tasks (user_id, title, description, status, priority, due_date)
     SELECT user_id, $3, $4, $5, $6, $7 FROM sessions WHERE user_id = $1 AND id = $2
     RETURNING ${COLUMNS}`,
    [sub, sid, title, description, status, priority, due_date],
  );
  if (rows.length === 0) throw new Problem(401, "Unauthorized", { "www-authenticate": 'Bearer error="invalid_token"' });
  const created = { ...toTask(rows[0]), tags: [] };
  return respond(201, created, { location: `tasks/${created.id}`, etag: created.etag });
}

const routes = { "GET /health": health, "GET /users/{user_id}/tasks": list, "POST /users/{user_id}/tasks": create };

export async function handler(event) {
  try {
    return await routes[event.routeKey](event);
  } catch (error) {
    if (error instanceof Problem) return respond(error.status, { title: error.message, status: error.status }, error.headers);
    console.error(error);
    return respond(500, { title: "Internal Server Error", status: 500 });
  }
}
