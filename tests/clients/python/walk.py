"""A walk through the API at API_URL, with a client by openapi-python-client:

    openapi-python-client generate --path openapi.json --meta none --output-path task_api
    mypy walk.py
    python3 walk.py
"""

import os
import re
import uuid
from urllib.parse import parse_qs, urlsplit

from task_api import AuthenticatedClient, Client
from task_api.api.accounts import delete_account, list_sessions, refresh_session, sign_in, sign_up
from task_api.api.tasks import create_task, delete_task, get_task, list_tasks, update_task
from task_api.models import (
    CreatedAccount,
    Credentials,
    Invalid,
    NewAccount,
    NewTask,
    Problem,
    Refresh,
    Session,
    Task,
    TaskChanges,
)
from task_api.types import UNSET, Response, Unset

API = os.environ.get("API_URL", "http://127.0.0.1:9000")


def next_cursor(response: Response[list[Task] | Problem]) -> str | None:
    """The cursor of the next page, if there is one."""
    link = re.fullmatch('<([^>]+)>; rel="next"', response.headers.get("Link", ""))
    return parse_qs(urlsplit(link[1]).query)["cursor"][0] if link else None


# Sign up, and in.
email, password = f"ada.{uuid.uuid4()}@example.com", "correct horse"
anyone = Client(base_url=API)
account = sign_up.sync(client=anyone, body=NewAccount(email, password))
assert isinstance(account, CreatedAccount), account
signed_in = sign_in.sync(client=anyone, body=Credentials(email, password))
assert isinstance(signed_in, Session) and isinstance(signed_in.refresh_token, str), signed_in
assert signed_in.user_id == account.id

# Get the session's next token.
session = refresh_session.sync(client=anyone, body=Refresh(signed_in.refresh_token))
assert isinstance(session, Session) and session.session_id == signed_in.session_id, session
api = AuthenticatedClient(base_url=API, token=session.token, prefix=session.token_type)
user = "me"

# Create tasks.
titles = ["Buy milk", "Bake bread", "Call Charles"]
for title in titles:
    created = create_task.sync(user, client=api, body=NewTask(title))
    assert isinstance(created, Task) and created.description is None, created
invalid = create_task.sync(user, client=api, body=NewTask(""))
assert isinstance(invalid, Invalid), invalid
assert [error.field for error in invalid.errors] == ["title"]

# List them, page by page.
tasks: list[Task] = []
cursor: str | Unset | None = UNSET
while cursor is not None:
    page = list_tasks.sync_detailed(user, client=api, limit=2, cursor=cursor)
    assert isinstance(page.parsed, list), page
    tasks += page.parsed
    cursor = next_cursor(page)
assert [task.title for task in tasks] == titles[::-1]

# Change one, unless it has changed since it was read.
task = tasks[0].id
read = get_task.sync_detailed(user, task, client=api)
assert read.parsed == tasks[0], read
etag, change = read.headers["ETag"], TaskChanges(completed=True)
changed = update_task.sync(user, task, client=api, body=change, if_match=etag)
assert isinstance(changed, Task) and changed.completed, changed
stale = update_task.sync(user, task, client=api, body=change, if_match=etag)
assert isinstance(stale, Problem) and (stale.status, stale.title) == (412, "Precondition Failed"), stale

# There is one session.
sessions = list_sessions.sync(user, client=api)
assert isinstance(sessions, list), sessions
assert [(one.id, one.current) for one in sessions] == [(session.session_id, True)]

# Delete the task, and the account.
assert delete_task.sync_detailed(user, task, client=api).status_code == 204
missing = get_task.sync(user, task, client=api)
assert isinstance(missing, Problem) and missing.status == 403, missing
assert delete_account.sync_detailed(user, client=api).status_code == 204
print(f"walked through {len(tasks)} tasks")
