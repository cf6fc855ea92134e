"""What ``self.request`` says, of all that may be in a message."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker.child.request import WorkerRequest, request_fields


def call(headers: dict[str, Any], properties: dict[str, Any] | None = None, **facts: Any) -> Any:
    """A call as the child's link gives it."""
    known: dict[str, Any] = {
        "id": "1",
        "task": "t",
        "root_id": "0",
        "parent_id": None,
        "queue": "q",
        "attempt": 1,
        "is_redelivered": False,
    }
    return SimpleNamespace(
        headers=json.dumps(headers).encode(),
        properties=json.dumps(properties or {}).encode(),
        **{**known, **facts},
    )


def fields(headers: dict[str, Any], embed: dict[str, Any] | None = None, **given: Any) -> Any:
    return request_fields(call(headers, **given), [1], {"k": 2}, embed, "w@h")


def test_a_message_without_headers_of_the_users() -> None:
    found = fields(
        {"lang": "py", "task": "x", "id": "y", "retries": None, "timelimit": [9, 5], "shadow": "s"},
        properties={"reply_to": "r", "correlation_id": "c", "priority": 3},
    )
    assert found["headers"] is None
    assert [found[name] for name in ("id", "task", "root_id", "hostname", "retries", "shadow")] == [
        "1",
        "t",
        "0",
        "w@h",
        0,
        "s",
    ]
    assert [found[name] for name in ("time_limit", "soft_time_limit", "reply_to")] == [9, 5, "r"]
    assert [found[name] for name in ("args", "kwargs", "callbacks", "chord")] == [
        [1],
        {"k": 2},
        None,
        None,
    ]
    assert found["delivery_info"] == {
        "exchange": "",
        "routing_key": "q",
        "priority": 3,
        "redelivered": False,
    }


def test_headers_of_the_users_are_attributes_too_and_stamps_are_not() -> None:
    headers = {"mine": 1, "stamps": {"s": "v"}, "stamped_headers": ["s"], "s": "v", "chain": "no"}
    found = fields(headers, {"chord": {"task": "b"}})
    assert found["headers"] == {"mine": 1, "chain": "no"}
    assert (found["mine"], found["stamps"], found["chain"]) == (1, {"s": "v"}, None)
    assert found["chord"] == {"task": "b"}
    assert "s" not in found


@pytest.mark.parametrize(
    ("headers", "given"),
    [
        ({"redelivered": True}, {}),
        ({}, {"properties": {"delivery_info": {"redelivered": True}}}),
        ({}, {"attempt": 2}),
        ({}, {"is_redelivered": True}),
    ],
)
def test_a_second_delivery_is_known_from_whoever_says_so(
    headers: dict[str, Any], given: dict[str, Any]
) -> None:
    assert fields(headers, **given)["delivery_info"]["redelivered"] is True


def test_a_request_that_nobody_looks_at_reads_no_message() -> None:
    unread = call({}, id="7")
    unread.headers = b"{"
    request = WorkerRequest(unread, [], {}, None, "w@h", SimpleNamespace())  # type: ignore[arg-type]
    assert (request.id, request.root_id, request.parent_id, request.call) == (
        "7",
        "0",
        None,
        unread,
    )
    request.id = "8"
    assert request.id == "8"
    with pytest.raises(ValueError, match="double quotes"):
        _ = request.retries
