"""What Schemathesis cannot know: who is signed in, and which answers are the gateway's own."""

import os
import secrets
import threading

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.openapi.checks import RejectedPositiveData

PATIENCE = 30
API = os.environ["API_URL"]
PASSWORD = "correct horse"

# JSON Schema counts characters, and a password's limit is one of bytes.
schemathesis.openapi.format(
    "password",
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=72).filter(
        lambda text: len(text.encode()) <= 72
    ),
)


class Users:
    """The users of this run: the one who is signed in, one more, and those who are gone."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tokens = {}
        self.other = self.new()
        self.current = self.new()

    def new(self):
        """Signs up, and in: the user's id."""
        account = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
        requests.post(f"{API}/users/signup", json=account, timeout=PATIENCE).raise_for_status()
        session = requests.post(f"{API}/users/signin", json=account, timeout=PATIENCE)
        session.raise_for_status()
        self.tokens[session.json()["user_id"]] = session.json()["token"]
        return session.json()["user_id"]

    def replace(self, user):
        """Goes on as somebody new, when it is the current user who is gone."""
        with self.lock:
            if user == self.current:
                self.current = self.new()


USERS = Users()


def is_good(case, location):
    """Whether a part of the request was meant to be good."""
    return case.meta is None or not case.meta.is_negative_at(location)


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """Requests are the current user's, on their own path, but for one in eight, which is on a stranger's. Those on the
    path of a user who is gone are made with that user's token."""

    def get(self, case, context):
        user = case.path_parameters.get("user_id")
        if user in USERS.tokens:
            return user
        if user is not None and is_good(case, "path") and str(user)[0] not in "07":
            case.path_parameters["user_id"] = USERS.current
        return USERS.current

    def set(self, case, user, context):
        case.headers["Authorization"] = f"Bearer {USERS.tokens[user]}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nobody guesses a password: half of the changes to the account have the right one."""
    if case.operation.definition.raw.get("operationId") == "updateAccount" and is_good(case, "body"):
        if isinstance(case.body, dict) and secrets.randbelow(2):
            case.body["current_password"] = PASSWORD


@schemathesis.hook
def after_call(context, case, response):
    """Goes on as somebody new after the account was deleted, or its password was changed."""
    if case.path == "/users/{user_id}" and case.method in ("PUT", "DELETE") and 200 <= response.status_code < 300:
        if case.method == "DELETE" or "password" in case.body:
            USERS.replace(case.path_parameters["user_id"])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is found in a 404 of the gateway's: it has no route for what an odd path parameter makes of a path. The
    functions' own have `Cache-Control`. And a good body is refused under an `Idempotency-Key` that was used for another."""
    if "cache-control" not in response.headers:
        return response.status_code != 404
    return not (isinstance(failure, RejectedPositiveData) and is_used_key(response))


def is_used_key(response):
    """Whether a problem is that the request's `Idempotency-Key` was used for another."""
    return response.status_code == 422 and [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]


@schemathesis.check
def another_users_token_opens_nothing(context, response, case):
    """What was done for the user in the path is refused to everybody else."""
    is_a_functions = "cache-control" in response.headers
    if is_a_functions and "{user_id}" in case.path and 200 <= response.status_code < 400:
        request = response.request
        headers = {**request.headers, "Authorization": f"Bearer {USERS.tokens[USERS.other]}"}
        replayed = requests.request(request.method, request.url, headers=headers, data=request.body, timeout=PATIENCE)
        assert replayed.status_code == 403, f"{case.method} {case.path} as somebody else: {replayed.status_code}"
