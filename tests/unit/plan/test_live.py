"""What is made of events: arrivals and times by task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.plan import plan_file
from fastworker.plan.figure import Origin
from fastworker.plan.live import Listener, merged


def heard(count: int = 40) -> Listener:
    listener = Listener()
    for number in range(count):
        uuid = f"id-{number}"
        received = {"type": "task-received", "uuid": uuid, "name": "proj.page"}
        listener.on_event({**received, "timestamp": 100.0 + number / 4})
        listener.on_event({"type": "task-succeeded", "uuid": uuid, "runtime": 0.1 + number % 2 / 5})
    return listener


def test_arrivals_and_times_are_measured() -> None:
    (each,) = heard().classes(10.0)
    inputs = plan_file.read({"class": [each]}, Path())
    made = inputs.classes[0]
    assert made.arrivals.rate == pytest.approx(4.0)
    assert made.arrivals.scv == pytest.approx(0.0, abs=1e-9)
    assert made.service.times.mean_s == pytest.approx(0.2)
    origins = {figure.name: figure.origin for figure in inputs.figures}
    assert origins["class proj.page.rate"] is Origin.MEASURED


def test_a_task_that_was_received_before_is_not_counted() -> None:
    listener = heard()
    listener.on_event({"type": "task-succeeded", "uuid": "older", "runtime": 99.0})
    assert listener.classes(10.0)[0]["service"].times.mean_s == pytest.approx(0.2)


def test_few_arrivals_say_nothing_of_bursts() -> None:
    assert heard(5).classes(10.0)[0]["arrivals"].scv == 1.0


def test_silence_says_what_to_look_at() -> None:
    with pytest.raises(ImproperlyConfigured, match="enable_events"):
        Listener().classes(10.0)


def test_a_plan_file_goes_before_what_was_heard() -> None:
    given: list[Any] = [{"task": "proj.page", "rate": 100, "cpu_share": 0.5}, {"task": "other"}]
    first, other = merged(given, heard().classes(10.0))
    assert first["rate"] == 100
    assert "arrivals" not in first
    assert first["service"].times.mean_s == pytest.approx(0.2)
    assert other == {"task": "other"}
