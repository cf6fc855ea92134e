"""Signals: who is called, with what, and what happens when a receiver is gone or fails."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from fastworker import FastWorker, signals
from fastworker.observer import Signal
from fastworker.utils.log import get_task_logger


def test_every_celery_signal_is_there() -> None:
    from celery import signals as theirs

    assert [n for n in [*theirs.__all__, "task_sent"] if not hasattr(signals, n)] == []


def test_receivers_are_called_with_sender_and_arguments() -> None:
    signal = Signal("s", {"x"})
    calls: list[Any] = []

    @signal.connect
    def everyone(sender: Any = None, x: Any = None, **_: Any) -> str:
        calls.append((sender, x))
        return "said"

    @signal.connect(sender="a")
    def only_a(**_: Any) -> None:
        calls.append("a")

    assert signal.send(sender="b", x=1) == [(everyone, "said")]
    signal.send(sender="a", x=2)
    assert calls == [("b", 1), ("a", 2), "a"]
    assert signal.disconnect(everyone)
    assert signal.disconnect(only_a, sender="a")
    assert not signal.has_receivers


def test_receiver_goes_away_with_its_owner() -> None:
    signal = Signal("s")

    class Owner:
        def on(self, **_: Any) -> None:
            raise AssertionError("its owner is gone")

    owner = Owner()
    signal.connect(owner.on)
    signal.connect(lambda **_: None, weak=False)
    assert len(signal.receivers) == 2
    del owner
    gc.collect()
    assert len(signal.send(sender=None)) == 1
    assert len(signal.receivers) == 1


def test_failing_receiver_is_logged_and_the_next_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signal = Signal("s")
    signal.connect(lambda **_: 1 / 0, weak=False)
    signal.connect(lambda **_: "next", weak=False)
    (_, error), (_, value) = signal.send(sender=None)
    assert isinstance(error, ZeroDivisionError)
    assert value == "next"
    assert "raised" in caplog.text


def test_dispatch_uid_connects_once() -> None:
    signal = Signal("s")
    for _ in range(2):
        signal.connect(lambda **_: None, weak=False, dispatch_uid="one")
    assert len(signal.send(sender=None)) == 1
    signal.disconnect(dispatch_uid="one")
    assert not signal.has_receivers


def test_receiver_without_keywords_is_refused() -> None:
    with pytest.raises(ValueError, match="must accept keyword arguments"):
        Signal("s").connect(lambda sender: None)


def test_sender_may_be_a_task_that_is_not_made_yet() -> None:
    app = FastWorker("m", set_as_current=False)
    signal = Signal("s")
    calls: list[int] = []
    task = app.task(name="t", shared=False)(lambda: None)
    signal.connect(lambda **_: calls.append(1), weak=False, sender=task)
    assert not app.configured
    signal.send(sender=app.tasks["t"])
    signal.send(sender="other")
    assert calls == [1]


def test_task_loggers_are_below_the_task_logger() -> None:
    logger = get_task_logger("shop.tasks")
    assert logger.parent is not None
    assert logger.parent.name == "fastworker.task"
    assert get_task_logger("shop.tasks") is logger
    with pytest.raises(RuntimeError, match="reserved"):
        get_task_logger("fastworker.task")


@pytest.mark.shows("signal app.on_after_fork")
def test_forked_process_tells_its_applications() -> None:
    app = FastWorker("m", set_as_current=False)
    read, write = os.pipe()
    app.on_after_fork.connect(lambda sender, **_: os.write(write, b"told"), weak=False)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        assert told.read() == b"told"
