"""fastworker and the real Celery on one queue: each runs what the other publishes."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import Pair
from tests.support.apps import AppSpec, BigBoom, Boom
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 20

VALUES: dict[str, Any] = {
    "none": None,
    "booleans": [True, False],
    "zero and one": [0, 1, 0.0, 1.0, -0.0],
    "2**70": 2**70,
    "-2**70": -(2**70),
    "2**63 and around": [2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1],
    "floats": [0.1, 1e300, 1e-300, 5e-324, 1e16, 123456789.123456789],
    "nan": math.nan,
    "infinities": [math.inf, -math.inf],
    "unicode": "grüß 任务 𝄞 \u2028\u2029 \ufeff",
    "controls": '\0\x01\x1f\x7f"\\/',
    "lone surrogate": "\ud800",
    "empty": ["", [], {}],
    "nested": {"a": [{"b": [[1], [2, {"c": None}]]}]},
    "datetime naive": dt.datetime(2024, 1, 2, 3, 4, 5, 678),
    "datetime utc": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
    "datetime offset": dt.datetime(
        2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45))
    ),
    "date": dt.date(2024, 2, 29),
    "time": dt.time(3, 4, 5, 6),
    "uuid": uuid.UUID("12345678123456781234567812345678"),
    "decimal": [Decimal("1.10"), Decimal("1E+30"), Decimal("-0")],
    "bytes text": b"abc",
    "bytes binary": bytes(range(256)),
    "inside": {"when": [dt.datetime(2024, 1, 2, 3, 4, 5)], "id": {"x": uuid.UUID(int=5)}},
    "looks like a type": {"__type__": "datetime", "__value__": "2024-01-02", "more": 1},
}


def described(value: Any) -> str:
    """What ``proj.describe`` says of a value that arrived whole."""
    return f"{type(value).__name__}:{value!r}"


@pytest.mark.shows("serializer json")
def test_every_value_arrives_whole(pair: Pair) -> None:
    pair.start()
    sent = {name: pair.task("describe").delay(value, key=value) for name, value in VALUES.items()}
    for name, result in sent.items():
        expected = [[described(VALUES[name])], {"key": described(VALUES[name])}]
        assert result.get(timeout=TIMEOUT_S) == expected, name


def test_every_value_comes_back_whole_to_both(pair: Pair) -> None:
    pair.start()
    sent = {name: pair.task("echo").delay(value, key=value) for name, value in VALUES.items()}
    for name, result in sent.items():
        result.get(timeout=TIMEOUT_S)
        for args, kwargs in pair.read_by_both(result.id):
            assert described(args[0]) == described(VALUES[name]), name
            assert described(kwargs["key"]) == described(VALUES[name]), name


def test_keywords_of_any_name_arrive(pair: Pair) -> None:
    pair.start()
    keywords = {"args": 2, "kwargs": 1, "任务": 3, "with space": 4, "": 5}
    result = pair.task("echo").apply_async((), keywords)
    assert result.get(timeout=TIMEOUT_S) == [[], keywords]


def test_request_of_the_other_is_understood(pair: Pair) -> None:
    pair.start("-n", "other@host")
    result = pair.task("who").delay()
    seen = result.get(timeout=TIMEOUT_S)
    assert (seen["id"], seen["root_id"], seen["parent_id"]) == (result.id, result.id, None)
    assert (seen["hostname"], seen["routing_key"]) == ("other@host", "celery")


@pytest.mark.parametrize(
    ("task", "arguments", "kind"),
    [
        ("fail", ("no luck",), Boom),
        ("fail_big", (7, "seven"), BigBoom),
        ("fail_builtin", ("nokey",), KeyError),
    ],
)
def test_failure_is_raised_by_both(
    pair: Pair, task: str, arguments: tuple[Any, ...], kind: type[Exception]
) -> None:
    pair.start()
    result = pair.task(task).delay(*arguments)
    for rig in (pair.publisher, pair.worker):
        read = rig.app.AsyncResult(result.id)
        with pytest.raises(kind) as caught:
            read.get(timeout=TIMEOUT_S)
        assert (type(caught.value), caught.value.args) == (kind, arguments)
        assert (read.state, "Traceback" in read.traceback) == ("FAILURE", True)


def test_countdown_is_kept(pair: Pair) -> None:
    pair.start()
    due = time.time() + 1.5
    ran = pair.task("now").apply_async(countdown=1.5).get(timeout=TIMEOUT_S)
    assert due - 0.1 <= ran <= due + 5


@pytest.mark.shows("call eta", "header eta")
def test_eta_in_another_timezone_is_kept(pair: Pair) -> None:
    pair.start()
    zone = dt.timezone(dt.timedelta(hours=9))
    due = dt.datetime.now(zone) + dt.timedelta(seconds=1.5)
    ran = pair.task("now").apply_async(eta=due).get(timeout=TIMEOUT_S)
    assert due.timestamp() - 0.1 <= ran <= due.timestamp() + 5


@pytest.mark.shows("header expires")
def test_expired_message_is_revoked(pair: Pair, tmp_path: Path) -> None:
    pair.start()
    path = str(tmp_path / "effect")
    result = pair.task("record").apply_async((path, "late"), expires=-1)
    wait_until(result.ready, "a final state")
    assert (result.state, read_lines(path)) == ("REVOKED", [])


@pytest.mark.shows("property priority")
def test_priorities_mean_the_same(pair: Pair, tmp_path: Path) -> None:
    path = str(tmp_path / "order")
    for priority in (9, 3, 0, 6, 9, 0):
        pair.task("record").apply_async((path, str(priority)), priority=priority)
    pair.start(concurrency=1)
    wait_until(lambda: len(read_lines(path)) == 6, "six effects")
    assert read_lines(path) == ["0", "0", "3", "6", "9", "9"]


@pytest.mark.shows("header retries")
def test_retry_of_the_other_is_run(pair: Pair) -> None:
    pair.start()
    assert pair.task("flaky").delay(2).get(timeout=TIMEOUT_S) == 2


def test_child_of_a_task_runs_on_the_other_kind(pair: Pair) -> None:
    pair.start()
    parent_id, child_id = pair.task("parent").delay().get(timeout=TIMEOUT_S)
    for seen in pair.read_by_both(child_id):
        assert (seen["parent_id"], seen["root_id"]) == (parent_id, parent_id)


@pytest.mark.shows("task track_started", "setting task_track_started")
def test_states_are_seen_by_both(pair: Pair, gate: Gate) -> None:
    for rig in (pair.publisher, pair.worker):
        rig.configure(task_track_started=True)
    pair.start()
    result = pair.task("hold").delay(gate.path)
    reads = [rig.app.AsyncResult(result.id) for rig in (pair.publisher, pair.worker)]
    assert {read.state for read in reads} <= {"PENDING", "STARTED"}
    gate.wait_started()
    wait_until(lambda: {read.state for read in reads} == {"STARTED"}, "STARTED for both")
    gate.release()
    wait_until(lambda: {read.state for read in reads} == {"SUCCESS"}, "SUCCESS for both")
    reads[0].forget()
    again = [rig.app.AsyncResult(result.id) for rig in (pair.publisher, pair.worker)]
    assert {read.state for read in again} == {"PENDING"}


@pytest.mark.parametrize("serializer", ["pickle", "msgpack", "yaml"])
@pytest.mark.shows(
    "serializer pickle",
    "serializer msgpack",
    "serializer yaml",
    "task serializer",
    "call serializer",
    "property content_type",
    "property content_encoding",
)
def test_other_serializers_are_understood(pair: Pair, serializer: str) -> None:
    pytest.importorskip({"pickle": "pickle", "msgpack": "msgpack", "yaml": "yaml"}[serializer])
    for rig in (pair.publisher, pair.worker):
        rig.configure(accept_content=["json", serializer])
    pair.worker.worker(C_FORCE_ROOT="1")
    result = pair.task("echo").apply_async((1, "ü"), {"x": None}, serializer=serializer)
    assert result.get(timeout=TIMEOUT_S) == [[1, "ü"], {"x": None}]


@pytest.mark.parametrize("compression", ["gzip", "bzip2"])
@pytest.mark.shows("call compression", "header compression")
def test_compressed_bodies_are_understood(pair: Pair, compression: str) -> None:
    pair.start()
    text = "fastworker " * 1000
    result = pair.task("echo").apply_async((text,), compression=compression)
    assert result.get(timeout=TIMEOUT_S) == [[text], {}]


@pytest.mark.shows("protocol 1")
def test_protocol_one_is_understood(redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        theirs = AppSpec("celery", redis_url, redis_url, {"task_protocol": 1})
        publisher = Rig(theirs, tmp_path, stack)
        ours = Rig(AppSpec(PRODUCT, redis_url, redis_url), tmp_path, stack)
        ours.worker()
        added = publisher.task("add").apply_async((1,), {"y": 2}, countdown=0.1)
        failed = publisher.task("fail").delay("old")
        assert added.get(timeout=TIMEOUT_S) == 3
        with pytest.raises(Boom, match="old"):
            failed.get(timeout=TIMEOUT_S)
