"""``app.control``: what goes over the wire, and what comes back; on a broker in memory."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fastworker import FastWorker, _core
from fastworker.app.control import Inspect, flatten_reply, match, stamp_pairs
from fastworker.app.revokes import RevokeTerms
from fastworker.errors import ImproperlyConfigured


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Iterator[FastWorker]:
    url = f"memory://{request.node.name}"
    with FastWorker("proj", broker=url, set_as_current=False) as made:
        yield made


class Worker(threading.Thread):
    """Answers the next broadcast like a worker: takes it out of the client's hands."""

    def __init__(self, app: FastWorker, monkeypatch: pytest.MonkeyPatch, **replies: Any) -> None:
        super().__init__(daemon=True)
        self.app, self.replies = app, replies
        self.sent: list[tuple[str, dict[str, Any]]] = []
        mailbox = app.control.mailbox
        client = _core.ControlClient(app.broker.write_url, {})
        monkeypatch.setattr(type(mailbox), "client", property(lambda _: self))
        self.client = client
        for name in ("open_mailbox", "take_reply", "close_mailbox", "reply", "mark_revoked"):
            setattr(self, name, getattr(client, name))

    def broadcast(self, exchange: str, envelope: bytes) -> None:
        parts = json.loads(envelope)
        body = json.loads(base64.b64decode(parts["body"]))
        self.sent.append((exchange, {**parts, "body": body}))
        for node, reply in self.replies.items():
            to = body.get("reply_to")
            if to:
                self.app.control.mailbox.reply(node, reply, *to.values(), body["ticket"])


def test_broadcast_is_kombus_envelope(app: FastWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(app, monkeypatch)
    assert app.control.broadcast("ping", destination=["a"]) is None
    [(exchange, sent)] = worker.sent
    assert exchange == "celery.pidbox"
    assert sent["body"] == {
        "method": "ping",
        "arguments": {},
        "destination": ["a"],
        "pattern": None,
        "matcher": None,
    }
    assert (sent["content-type"], sent["content-encoding"]) == ("application/json", "utf-8")
    assert sent["properties"]["delivery_info"] == {"exchange": "celery.pidbox", "routing_key": ""}
    assert sent["properties"]["body_encoding"] == "base64"
    assert sorted(sent["headers"]) == ["clock", "expires"]


def test_replies_are_collected_until_there_is_one_for_each_destination(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker(app, monkeypatch, a={"ok": "pong"}, b={"ok": "pong"})
    heard: list[Any] = []
    replies = app.control.ping(["a", "b"], timeout=30, callback=heard.append)
    assert replies == heard == [{"a": {"ok": "pong"}}, {"b": {"ok": "pong"}}]


def test_inspect_gives_answers_by_node(app: FastWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    Worker(app, monkeypatch, a=["x"], b=[])
    assert app.control.inspect(timeout=30, limit=2).active() == {"a": ["x"], "b": []}
    assert app.control.inspect("a", timeout=30).revoked() == ["x"]
    assert app.control.inspect(pattern="b*", timeout=30, limit=2).revoked() == {"b": []}


def test_inspect_gives_none_when_nobody_answers(app: FastWorker) -> None:
    assert app.control.inspect(timeout=0.01).ping() is None
    assert issubclass(app.control.inspect, Inspect)


def test_destination_must_be_a_list(app: FastWorker) -> None:
    with pytest.raises(ValueError, match="must be a list"):
        app.control.ping(destination="a")


def test_revoke_of_several_results_is_one_order(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(app, monkeypatch)
    inner = app.GroupResult("g", [app.AsyncResult("b"), app.AsyncResult("c")])
    app.ResultSet([app.AsyncResult("a"), inner]).revoke(terminate=True, signal="KILL")
    [(_, sent)] = worker.sent
    assert sent["body"]["method"] == "revoke"
    assert sent["body"]["arguments"] == {
        "task_id": ["a", "b", "c"],
        "terminate": True,
        "signal": "KILL",
    }


def test_nodes_are_matched_by_pattern() -> None:
    assert match("w1@a", "w?@*")
    assert not match("w1@a", "x*")
    assert match("w1@a", r"w\d@", "pcre")
    assert not match("w1@a", r"\d", "pcre")


def test_replies_and_stamps_are_flattened() -> None:
    assert flatten_reply([{"a": 1}, {"b": 2}, {"a": 3}]) == {"a": 3, "b": 2}
    assert stamp_pairs({"a": ["x", 1], "b": "ä"}) == [("a", '"x"'), ("a", "1"), ("b", '"\\u00e4"')]


def test_terms_of_revokes_are_celerys_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RevokeTerms.from_environment() == RevokeTerms(50_000, 10_800.0)
    monkeypatch.setenv("CELERY_WORKER_REVOKES_MAX", "7")
    monkeypatch.setenv("CELERY_WORKER_REVOKE_EXPIRES", "1.5")
    assert RevokeTerms.from_environment() == RevokeTerms(7, 1.5)
    monkeypatch.setenv("CELERY_WORKER_REVOKES_MAX", "many")
    with pytest.raises(ImproperlyConfigured, match="CELERY_WORKER_REVOKES_MAX is 'many'"):
        RevokeTerms.from_environment()
