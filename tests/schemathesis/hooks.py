"""Tells Schemathesis who is signed in, and which answers are the gateway's own."""

import os
import re
import secrets
import threading
import unicodedata
from datetime import datetime

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

TIMEOUT = 120
API = os.environ["API_URL"]
PASSWORD = "correct horse"

# JSON Schema counts characters, but the limit of a password is in bytes.
schemathesis.openapi.format(
    "password",
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=8, max_size=72).filter(
        lambda text: len(text.encode()) <= 72
    ),
)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Names a valid `If-Match`: without it, the coverage phase finds none, because it fills headers from letters and digits.
    The same values are valid."""
    tags = raw_schema["components"]["schemas"]["EntityTags"]
    tags["anyOf"] = [{"const": "*"}, {"pattern": tags.pop("pattern")}]


# Those that the pattern of a title does not name, because not every engine reads what is above U+FFFF.
INVISIBLE = re.compile("[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")


# Of the year 0000, or with an offset that leads into another year than it is written in, a time can be out of range.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(lambda time: time.isoformat() + "Z"),
)


def is_plain(tag):
    """Whether JSON Schema can judge a tag: it is visible, and only its case is normalised, which keeps its length."""
    if not isinstance(tag, str):
        return True
    is_normal = unicodedata.normalize("NFC", tag).strip() == tag and len(tag.lower()) == len(tag)
    return is_normal and any(character.isascii() and character.isalnum() for character in tag)


@schemathesis.hook
def filter_body(context, body):
    """Leaves out what JSON Schema cannot judge: titles with these characters, or too long by the white space around them;
    tags that are normalised, and more of them than there are distinct ones."""
    title, tags = (body.get("title"), body.get("tags")) if isinstance(body, dict) else (None, None)
    if isinstance(title, str) and (INVISIBLE.search(title) or len(title.strip()) <= 500 < len(title)):
        return False
    if not isinstance(tags, list):
        return True
    return all(map(is_plain, tags)) and not len({str(tag).lower() for tag in tags}) <= 20 < len(tags)


@schemathesis.hook
def filter_query(context, query):
    """Leaves out tags as in a body, and searches whose white space is more than spaces."""
    tags, words = (query or {}).get("tag"), (query or {}).get("q")
    is_judged = not isinstance(tags, list) or all(map(is_plain, tags)) and not any("," in str(tag) for tag in tags)
    return is_judged and (not isinstance(words, str) or " ".join(words.split()) == words)


class Users:
    """The users of this run: the one who is signed in, another one, and deleted ones."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tokens = {}
        self.other = self.new()
        self.current = self.new()

    def new(self):
        """Signs up and in; the user's id."""
        account = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
        requests.post(f"{API}/users/signup", json=account, timeout=TIMEOUT).raise_for_status()
        session = requests.post(f"{API}/users/signin", json=account, timeout=TIMEOUT)
        session.raise_for_status()
        self.tokens[session.json()["user_id"]] = session.json()["token"]
        return session.json()["user_id"]

    def replace(self, user):
        """Continues as a new user if this is the current one."""
        with self.lock:
            if user == self.current:
                self.current = self.new()


USERS = Users()


def is_valid(case, location):
    """Whether a part of the request was generated as valid."""
    return case.meta is None or not case.meta.is_negative_at(location)


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """Signs requests with the current user's token, on their own path except for one in eight. A request on the path of a
    deleted user has that user's token."""

    def get(self, case, context):
        user = case.path_parameters.get("user_id")
        if user in USERS.tokens:
            return user
        if user is not None and is_valid(case, "path") and str(user)[0] not in "07":
            case.path_parameters["user_id"] = USERS.current
        return USERS.current

    def set(self, case, user, context):
        case.headers["Authorization"] = f"Bearer {USERS.tokens[user]}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Fills in the current password in half of the changes to the account, as it cannot be generated."""
    if case.operation.definition.raw.get("operationId") in ("updateAccount", "patchAccount") and is_valid(case, "body"):
        if isinstance(case.body, dict) and secrets.randbelow(2):
            case.body["current_password"] = PASSWORD


@schemathesis.hook
def after_call(context, case, response):
    """Continues as a new user after the account was deleted, its password changed or a session ended."""
    if response.status_code >= 300 or "{task_id}" in case.path or "{user_id}" not in case.path:
        return
    if case.method == "DELETE" or (case.method in ("PUT", "PATCH") and "password" in case.body):
        USERS.replace(case.path_parameters["user_id"])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Ignores 404s of the gateway, which has no route for some generated paths; answers of functions have `Cache-Control`.
    Ignores requests that are valid by the schema and refused for what it cannot say: their `Idempotency-Key` was used for
    another body, their cursor is of another list, their status contradicts `completed`, or their password is a common one.
    Ignores passwords that violate the format `password`, which only says how to show one."""
    if "cache-control" not in response.headers:
        return response.status_code != 404
    if isinstance(failure, AcceptedNegativeData) and re.search(r"violates `format` at \S*password$", failure.message, re.I | re.M):
        return False
    return not (isinstance(failure, RejectedPositiveData) and is_beyond_the_schema(response.json()))


def is_beyond_the_schema(problem):
    fields = [error["field"] for error in problem.get("errors", [])]
    contradicted = fields == ["completed"] and "must agree with status" in problem["errors"][0]["detail"]
    is_common = fields == ["password"] and "one of the most used" in problem["errors"][0]["detail"]
    return problem["code"] == "key_reused" or contradicted or is_common or '"cursor" must come from' in problem["detail"]


@schemathesis.check
def another_users_token_is_refused(context, response, case):
    """Repeats a successful request as another user."""
    is_a_functions = "cache-control" in response.headers
    if is_a_functions and "{user_id}" in case.path and 200 <= response.status_code < 400:
        request = response.request
        headers = {**request.headers, "Authorization": f"Bearer {USERS.tokens[USERS.other]}"}
        replayed = requests.request(request.method, request.url, headers=headers, data=request.body, timeout=TIMEOUT)
        assert replayed.status_code == 403, f"{case.method} {case.path} as another user: {replayed.status_code}"
