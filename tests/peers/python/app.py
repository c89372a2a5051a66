"""Three routes of the API (health, the list of tasks, a new task) as a function in Python has them, on the same schema and
with the same tokens. A list has no filters, sorts or cursors here, and a new task no tags."""

import base64
import hashlib
import json
import os
from datetime import datetime, timezone
from typing import Annotated, Any, Literal
from uuid import UUID

import jwt
import psycopg
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from mangum import Mangum
from psycopg.rows import dict_row
from pydantic import AfterValidator, BaseModel, StringConstraints, computed_field


def connect() -> psycopg.Connection[dict[str, Any]]:
    """Each statement is a transaction, and none is prepared, which the transaction pooler would not allow."""
    tls = {"sslmode": "verify-full", "sslrootcert": os.environ["DATABASE_CA_FILE"]}
    url = os.environ["DATABASE_URL"]
    return psycopg.connect(url, **tls, autocommit=True, prepare_threshold=None, row_factory=dict_row)


connection = connect()


def query(sql: str, *parameters: Any) -> list[dict[str, Any]]:
    global connection
    if connection.closed:
        connection = connect()
    return connection.execute(sql, parameters).fetchall()


def public_keys() -> dict[str, jwt.PyJWK]:
    """By their thumbprints (RFC 7638)."""
    keys = {}
    for x in os.environ["JWT_PUBLIC_KEYS"].split(","):
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": x}
        digest = hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest()
        keys[base64.urlsafe_b64encode(digest).rstrip(b"=").decode()] = jwt.PyJWK(jwk, algorithm="EdDSA")
    return keys


keys = public_keys()
app = FastAPI()

UtcTime = Annotated[datetime, AfterValidator(lambda time: time.replace(tzinfo=timezone.utc))]


class NewTask(BaseModel, extra="forbid"):
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    description: Annotated[str, StringConstraints(max_length=5000)] | None = None
    status: Literal["pending", "in_progress", "completed"] = "pending"
    priority: Literal[1, 2, 3, 4] | None = None
    due_date: datetime | None = None


class Task(BaseModel):
    id: UUID
    user_id: UUID
    title: str
    description: str | None
    status: str
    priority: int | None
    due_date: UtcTime | None
    tags: list[str] = []
    created_at: UtcTime
    updated_at: UtcTime

    @computed_field
    def completed(self) -> bool:
        return self.status == "completed"

    @computed_field
    def etag(self) -> str:
        return f'"{base64.urlsafe_b64encode(self.updated_at.isoformat().encode()).decode()}"'


UNAUTHORIZED = HTTPException(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def caller(request: Request, user_id: str) -> tuple[str, str]:
    """The user and the session of the token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, ["EdDSA"], {"require": ["exp", "sub"]}, issuer="task-api", audience="task-api")
    except (jwt.InvalidTokenError, KeyError):
        raise UNAUTHORIZED from None
    if user_id not in ("me", claims["sub"]):
        raise HTTPException(403)
    return claims["sub"], claims["sid"]


Caller = Annotated[tuple[str, str], Depends(caller)]
COLUMNS = "id, user_id, title, description, status, priority, due_date, created_at, updated_at"


@app.get("/health")
def health() -> dict[str, str]:
    query("SELECT 1")
    return {"status": "ok"}


@app.get("/users/{user_id}/tasks")
def list_tasks(caller: Caller, response: Response, limit: Annotated[int, Query(ge=1, le=100)] = 50) -> list[Task]:
    response.headers["Cache-Control"] = "no-store"
    user, session = caller
    rows = query(
        f"""SELECT task.*, ARRAY(
                SELECT name FROM task_tags JOIN tags ON tags.id = tag_id WHERE task_id = task.id ORDER BY name
            ) AS tags
            FROM sessions LEFT JOIN (
                SELECT {COLUMNS} FROM tasks WHERE user_id = %s ORDER BY created_at DESC, id DESC LIMIT %s
            ) AS task ON true
            WHERE sessions.id = %s AND sessions.user_id = %s""",
        user, limit, session, user,
    )  # fmt: skip
    if not rows:
        raise UNAUTHORIZED
    return [Task(**row) for row in rows if row["id"]]


@app.post("/users/{user_id}/tasks", status_code=201)
def create_task(caller: Caller, new: NewTask, response: Response) -> Task:
    response.headers["Cache-Control"] = "no-store"
    user, session = caller
    due = new.due_date and new.due_date.astimezone(timezone.utc).replace(tzinfo=None)
    rows = query(
        f"""INSERT INTO tasks (user_id, title, description, status, priority, due_date)
            SELECT user_id, %s, %s, %s, %s, %s FROM sessions WHERE user_id = %s AND id = %s
            RETURNING {COLUMNS}""",
        new.title, new.description, new.status, new.priority, due, user, session,
    )  # fmt: skip
    if not rows:
        raise UNAUTHORIZED
    task = Task(**rows[0])
    response.headers["Location"] = f"tasks/{task.id}"
    response.headers["ETag"] = task.etag
    return task


handler = Mangum(app, lifespan="off")
