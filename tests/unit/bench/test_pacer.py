"""The generator: what it fills in, and what it says of its own punctuality."""

from __future__ import annotations

import json
import random
import time
from array import array
from collections.abc import Iterator

import pytest

from fastworker import FastWorker, _core
from fastworker.bench.templates import templates
from fastworker.bench.workload import Call

SEED = "8d4f3c6e-7b1a-4f7e-9a51-0d6f6d1f2a10"


@pytest.fixture
def app() -> Iterator[FastWorker]:
    name = f"pacer-{_core.new_id()}"
    app = FastWorker("paced", broker=f"memory://{name}", set_as_current=False)

    @app.task(name="echo")
    def echo(text: str) -> str:
        return text

    yield app
    _core.clear_memory(name)


def _pacer(app: FastWorker, *calls: Call) -> _core.Pacer:
    return _core.Pacer(*app.broker.write_address, templates(app, calls, "q"), SEED)


def _messages(app: FastWorker) -> list[dict[str, object]]:
    return [json.loads(message) for _, _, message in _core.memory_messages(app.broker.write_url)]


def test_each_message_gets_its_id_number_and_moment(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",)), Call("echo", ("b",)))
    began_us = time.time_ns() // 1000
    offsets, picks = array("Q", [0, 1_000, 2_000]), array("I", [1, 0, 1])
    pacer.run(offsets.tobytes(), picks.tobytes(), began_us, 40, 2)
    messages = _messages(app)
    headers = [message["headers"] for message in messages]
    ids = [_core.stream_ids(SEED, number, 1)[0] for number in (40, 42, 44)]
    assert [header["id"] for header in headers] == ids
    assert [header["root_id"] for header in headers] == ids
    assert [message["properties"]["correlation_id"] for message in messages] == ids
    assert [header["fw-number"] for header in headers] == ["0000000040", "0000000042", "0000000044"]
    assert [header["fw-intended"] - began_us for header in headers] == [0, 1_000, 2_000]
    assert [header["argsrepr"] for header in headers] == ["('b',)", "('a',)", "('b',)"]
    assert len({message["properties"]["delivery_tag"] for message in messages}) == 3
    assert pacer.sent == 3


def test_a_message_with_a_delay_is_meant_for_its_eta(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",), delay_s=3600.0))
    began_us = 1_764_192_000_000_000
    pacer.run(array("Q", [0]).tobytes(), array("I", [0]).tobytes(), began_us, 0, 1)
    (message,) = _messages(app)
    assert message["headers"]["fw-intended"] == began_us + 3_600_000_000
    # A whole second is moved by a microsecond: without a fraction the text would be shorter.
    assert message["headers"]["eta"] == "2025-11-26T22:20:00.000001+00:00"


def test_what_was_due_before_it_began_is_late_by_so_much(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",)))
    began_us = time.time_ns() // 1000 - 2_000_000
    late, confirmed = pacer.run(
        array("Q", [0] * 100).tobytes(), array("I", [0] * 100).tobytes(), began_us, 0, 1
    )
    assert late.count == confirmed.count == 100
    assert 2_000_000 <= late.quantile_us(0.01) <= confirmed.max_us
    # Its moment is the one that was meant.
    assert {message["headers"]["fw-intended"] for message in _messages(app)} == {began_us}


def test_nothing_is_sent_before_its_moment(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",)))
    rng = random.Random(1)
    offsets = array("Q", sorted(rng.randrange(200_000) for _ in range(500)))
    began = time.monotonic()
    late, _ = pacer.run(
        offsets.tobytes(), array("I", [0] * 500).tobytes(), time.time_ns() // 1000, 0, 1
    )
    assert time.monotonic() - began >= offsets[-1] / 1e6 - 0.001
    assert late.count == 500


def test_filling_numbers_on(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",)))
    confirmed = pacer.fill(array("I", [0] * 1_300).tobytes(), 7)
    numbers = [int(message["headers"]["fw-number"]) for message in _messages(app)]
    assert sorted(numbers) == list(range(7, 1_307))
    assert confirmed.count == 1_300


def test_a_template_without_its_holes_is_refused(app: FastWorker) -> None:
    with pytest.raises(ValueError, match='a template has no "fw-number"'):
        _core.Pacer(*app.broker.write_address, [("q", 0, b"{}", 0)], SEED)


def test_a_template_that_is_not_there_is_refused(app: FastWorker) -> None:
    pacer = _pacer(app, Call("echo", ("a",)))
    with pytest.raises(ValueError, match="there is no template 5 of 1"):
        pacer.fill(array("I", [5]).tobytes(), 0)
