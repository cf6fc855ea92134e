"""Which resource is named as the one that binds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fastworker.bench.bottleneck import ORDER, WORDS, average, binding, binding_text, uses
from fastworker.bench.probe import Figures
from fastworker.bench.report import limits
from tests.support.bench_phases import made

BUSY = {"throughput": 190.0, "service_s": 0.01}  # 2 slots: 95 %


@pytest.mark.parametrize(
    ("pool", "what", "expected"),
    [
        ("prefork", {}, None),
        ("prefork", BUSY, "slots"),
        # The children compute all the time, and half of the cores are free.
        ("prefork", BUSY | {"cpu_s": {"children": 3.8}, "cores_busy": 0.5}, "child CPU"),
        ("prefork", BUSY | {"cpu_s": {"children": 3.8}, "cores_busy": 0.97}, "cores"),
        # All cores are busy, and hardly with this, which waits for them; or does not need them.
        ("prefork", {"cores_busy": 0.97, "core_wait_s": {"supervisor": 1.2}}, "other processes"),
        ("prefork", {"cores_busy": 0.97, "core_wait_s": {"children": 3.0}}, "other processes"),
        ("prefork", {"cores_busy": 0.97, "core_wait_s": None}, "other processes"),
        ("prefork", {"cores_busy": 0.97}, None),
        ("prefork", BUSY | {"cores_busy": 0.97}, "slots"),
        ("prefork", {"cpu_s": {"supervisor": 1.9}, "cores_busy": 0.6}, "supervisor CPU"),
        ("prefork", {"broker": Figures(3.0, 1.9, 1, 1, 1)}, "broker CPU"),
        # All of the server's threads together are no sign that the one is full.
        ("prefork", {"broker": Figures(3.0, 0.5, 1, 1, 1)}, None),
        ("prefork", {"broker": None}, None),
        ("threads", BUSY | {"children": 1, "cpu_s": {"children": 1.96}}, "gil"),
        # More than a core in one process: whatever computes has let go of the lock.
        ("threads", BUSY | {"children": 1, "cpu_s": {"children": 3.9}}, "slots"),
        ("threads", BUSY | {"children": 1, "cpu_s": {"children": 0.2}}, "slots"),
        ("asyncio", BUSY | {"children": 1, "cpu_s": {"children": 1.96}}, "event loop"),
        # One slot a process: nobody else wants its lock.
        ("threads", BUSY | {"children": 2, "cpu_s": {"children": 3.8}}, "child CPU"),
        ("prefork", {"held": 95, "left": 100}, "rate limit"),
        ("prefork", {"held": 20, "left": 100}, None),
        # While all slots are taken, more of a rate would not help.
        ("prefork", BUSY | {"held": 95, "left": 100}, "slots"),
        ("prefork", {"dry": 0.9}, "publisher"),
        ("solo", {"slots": 1, "children": 0, "cpu_s": {"supervisor": 1.9}} | {"throughput": 95.0}, "slots"),
    ],
)  # fmt: skip
def test_what_is_full_is_named(pool: str, what: dict[str, Any], expected: str | None) -> None:
    found = limits([made(**what)], pool)
    assert found["binds"] == expected
    text = binding_text(found)
    assert (WORDS[expected][0] if expected else "Nothing that was measured is full") in text


def test_several_workers_share_the_work_of_supervisors() -> None:
    phase = made(cpu_s={"supervisor": 1.9}, nodes=2)
    assert limits([phase], "prefork")["binds"] is None
    assert limits([replace(phase, nodes=1)], "prefork")["binds"] == "supervisor CPU"


def test_what_the_kernel_does_not_tell_is_left_out() -> None:
    found = uses(made(cores_busy=None, broker=None, held=None, left=None, dry=None), "prefork")
    assert {use.resource for use in found} == {"slots", "supervisor CPU", "child CPU"}


def test_shares_are_never_more_than_all() -> None:
    busy = made(throughput=1000.0, cpu_s={"supervisor": 9.0, "children": 99.0}, cores_busy=1.0)
    assert all(0 <= use.share <= 1 for use in uses(busy, "prefork"))


def test_a_disturbed_repeat_does_not_decide() -> None:
    quiet, loud = uses(made(), "prefork"), uses(made(dry=1.0), "prefork")
    assert binding(average([quiet, quiet, loud])) is None
    found = binding(average([quiet, loud, loud]))
    assert found is not None
    assert found.resource == "publisher"


def test_every_resource_has_its_words() -> None:
    assert set(ORDER) == set(WORDS)
