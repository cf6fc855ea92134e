"""Messages that no client of either framework would publish."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.differential.scenario import Group, Scenario

ID = "00000000-0000-4000-8000-{:012d}"


def envelope(number: int, **changes: Any) -> bytes:
    """A message as kombu writes it, ``changes`` in place of its parts; None removes one."""
    task_id = ID.format(number)
    headers = {
        "lang": "py",
        "task": "diff.see",
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "argsrepr": "(1,)",
        "kwargsrepr": "{}",
        "origin": "gen1@raw",
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        **changes.pop("headers", {}),
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": "raw",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": task_id,
        **changes.pop("properties", {}),
    }
    body = changes.pop("body", [[1], {}, {}])
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    message: dict[str, Any] = {
        "body": base64.b64encode(text).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {key: value for key, value in headers.items() if value != "absent"},
        "properties": properties,
        **changes,
    }
    return json.dumps(message).encode()


def _raw(number: int, name: str, **changes: Any) -> Scenario:
    def send(s: Any) -> None:
        s.watch(s.app.AsyncResult(ID.format(number)))
        s.push("celery", envelope(number, **changes))

    return Scenario(name, send, ends=False)


OPTIONAL = (
    *("root_id", "parent_id", "group", "argsrepr", "kwargsrepr"),
    *("origin", "timelimit", "retries", "eta", "expires"),
)

SCENARIOS = (
    _raw(1, "as a client would"),
    _raw(2, "unknown task", headers={"task": "no.such"}),
    _raw(3, "body that is not JSON", body=b"{nonsense"),
    _raw(4, "body of bytes", body=b"\xff\xfe"),
    _raw(5, "body of a number", body=5),
    _raw(6, "body of two", body=[[1], {}]),
    _raw(7, "kwargs of a list", body=[[1], [], {}]),
    _raw(8, "args of text", body=["ab", {}, {}]),
    _raw(9, "empty embed", body=[[1], {}, None]),
    _raw(10, "content type nobody knows", **{"content-type": "application/x-no-such"}),
    _raw(11, "content type of YAML", **{"content-type": "application/x-yaml"}),
    _raw(12, "no content type", **{"content-type": None}),
    _raw(13, "eta that is no time", headers={"eta": "tomorrow"}),
    _raw(14, "expires that is no time", headers={"expires": "tomorrow"}),
    _raw(15, "expires as a number", headers={"expires": 4_000_000_000}),
    _raw(16, "eta with Z", headers={"eta": "2020-01-01T00:00:00Z"}),
    _raw(17, "eta without a zone", headers={"eta": "2020-01-01T00:00:00"}),
    _raw(
        18,
        "no optional headers",
        headers=dict.fromkeys(OPTIONAL, "absent"),
    ),
    _raw(19, "retries of null", headers={"retries": None}),
    _raw(
        20,
        "protocol 1",
        headers={"task": "absent", "id": "absent"},
        body={
            "task": "diff.see",
            "id": ID.format(20),
            "args": [1],
            "kwargs": {"k": 2},
            "retries": 1,
            "eta": None,
            "expires": None,
            "utc": True,
            "callbacks": None,
            "errbacks": None,
            "timelimit": [None, None],
            "taskset": None,
            "chord": None,
        },
    ),
    _raw(21, "compression nobody knows", headers={"compression": "application/x-no-such"}),
    _raw(
        22, "body that is not compressed as it says", headers={"compression": "application/x-gzip"}
    ),
    _raw(
        23,
        "arguments that the task does not take",
        headers={"task": "diff.add"},
        body=[[1, 2, 3], {}, {}],
    ),
    _raw(24, "time limit above the soft one", headers={"timelimit": [10, 20]}),
    _raw(
        25,
        "callbacks of nothing",
        body=[[1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
    ),
    _raw(26, "callback that is no signature", body=[[1], {}, {"callbacks": [5]}]),
)

# The last one is answered only after all before it have been: it tells when the group is done.
LAST = Scenario("one more", lambda s: s.call("see"))

GROUPS = (
    Group("raw", (*SCENARIOS, LAST), on=("redis",), concurrency=1, alone=True, celery_patience_s=5),
)
