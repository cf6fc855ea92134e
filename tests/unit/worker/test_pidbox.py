"""Which broadcasts a worker answers, and that none can hurt it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.worker import control
from fastworker.worker.panel import Panel, State, control_command
from fastworker.worker.pidbox import Pidbox


class Desk:
    """A pidbox whose replies are kept."""

    def __init__(self, app: FastWorker, monkeypatch: pytest.MonkeyPatch, node: Any = None) -> None:
        self.replies: list[Any] = []
        mailbox = app.control.mailbox
        monkeypatch.setattr(mailbox, "reply", lambda node, value, *_: self.replies.append(value))
        self.pidbox = Pidbox(State(app, "w@here", node=node))
        self._mailbox = mailbox

    def hear(self, method: str, arguments: Any = None, **more: Any) -> list[Any]:
        body = {"method": method, "arguments": arguments, **more}
        body.setdefault("reply_to", {"exchange": "x", "routing_key": "y"})
        self.pidbox.on_broadcast(self._mailbox._envelope(body, {"clock": 5}, "celery.pidbox"))
        return self.replies


@pytest.fixture
def desk(app: FastWorker, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(Panel, "data", dict(Panel.data))
    monkeypatch.setattr(Panel, "meta", dict(Panel.meta))
    return Desk(app, monkeypatch)


@pytest.mark.parametrize(
    ("address", "is_meant"),
    [
        ({}, True),
        ({"destination": ["w@here", "x"]}, True),
        ({"destination": ["x"]}, False),
        ({"destination": ["x"], "pattern": "w*", "matcher": "glob"}, False),
        ({"pattern": "w*", "matcher": "glob"}, True),
        ({"pattern": "x*", "matcher": "glob"}, False),
        ({"pattern": r"\w@", "matcher": "pcre"}, True),
    ],
)
def test_broadcast_is_answered_by_those_it_is_for(
    desk: Desk, address: dict[str, Any], is_meant: bool
) -> None:
    assert desk.hear("ping", **address) == ([{"ok": "pong"}] if is_meant else [])


def test_unknown_command_is_answered_as_celery_does(desk: Desk) -> None:
    assert desk.hear("nosuchcommand") == [{"error": "KeyError('nosuchcommand')"}]


def test_wrong_arguments_are_an_error_reply(desk: Desk) -> None:
    [reply] = desk.hear("revoke", {"nonsense": 1})
    assert reply["error"].startswith("TypeError(")


def test_no_reply_is_sent_when_nobody_wants_one(desk: Desk) -> None:
    assert desk.hear("ping", reply_to=None) == []


@pytest.mark.parametrize(
    ("address", "remembered"),
    [
        ({}, 15),
        ({"destination": ["w@here"]}, None),
        ({"pattern": "w*", "matcher": "glob"}, None),
    ],
)
def test_others_learn_of_a_termination_only_if_it_was_for_them(
    app: FastWorker,
    monkeypatch: pytest.MonkeyPatch,
    address: dict[str, Any],
    remembered: int | None,
) -> None:
    core = SimpleNamespace(revoke=lambda ids, stamps, terminate: [])
    node = SimpleNamespace(core=core, can_terminate=True, note_revoked=lambda ids: None)
    desk = Desk(app, monkeypatch, node)
    marks: list[Any] = []
    client = SimpleNamespace(mark_revoked=lambda *told: marks.append(told[:3]))
    mailbox = SimpleNamespace(
        client=client, read=app.control.mailbox.read, close=app.control.mailbox.close
    )
    monkeypatch.setattr(app.control, "mailbox", mailbox)
    monkeypatch.setattr(app, "parked", SimpleNamespace(revoked=lambda *ids: None))
    monkeypatch.setattr(control, "_store_revoked", lambda state, ids: None)
    arguments = {"task_id": "a", "terminate": True, "signal": "SIGTERM"}
    assert desk.hear("revoke", arguments, **address) == [{"ok": "terminate: tasks unknown"}]
    assert marks == [(["a"], [], remembered)]


def test_command_of_ones_own_is_found_by_name_and_alias(desk: Desk) -> None:
    @control_command(alias="double", args=[("n", int)], signature="<n>")
    def twice(state: State, n: int) -> int:
        """Twice as much.

        More words.
        """
        return 2 * n

    assert desk.hear("twice", {"n": 2}) == [4]
    assert desk.hear("double", {"n": 3}) == [4, 6]
    info = Panel.meta["twice"]
    assert (info.help, info.type, info.signature) == ("Twice as much.", "control", "<n>")


def test_garbage_is_logged_and_forgotten(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    bad_body = json.dumps({"body": "[1]", "content-type": "application/json", "properties": {}})
    pickled = json.dumps({"body": "", "content-type": "application/x-python-serialize"})
    for envelope in (b"\x00", b"[]", b"{}", bad_body.encode(), pickled.encode()):
        desk.pidbox.on_broadcast(envelope)
    assert len(caplog.records) == 5
    assert desk.hear("ping") == [{"ok": "pong"}]


def test_clock_follows_the_senders(desk: Desk, app: FastWorker) -> None:
    desk.hear("ping")
    assert app.clock.value == 6
