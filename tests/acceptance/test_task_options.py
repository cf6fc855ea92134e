"""What the options of a task mean to whoever calls it: one worker a broker, each option seen from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

TIMEOUT_S = 30


def outcome(result: Any) -> tuple[str, str]:
    """``(state, class of the exception)`` once it is there."""
    exc = result.get(timeout=TIMEOUT_S, propagate=False)
    return result.state, type(exc).__name__


@pytest.mark.each_pool
@pytest.mark.shows("task throws")
def test_expected_failure_is_a_failure(running: Rig) -> None:
    assert outcome(running.task("expected").delay("k")) == ("FAILURE", "KeyError")


@pytest.mark.shows("task ignore_result", "task store_errors_even_if_ignored", "call ignore_result")
def test_results_are_ignored_as_far_as_told(running: Rig) -> None:
    silent = running.task("silent").delay(True)
    shown = running.task("silent").apply_async((False,), ignore_result=False)
    errors = running.app.AsyncResult(running.task("silent_but_for_errors").delay().id)
    assert shown.get(timeout=TIMEOUT_S) == "said"
    assert outcome(errors) == ("FAILURE", "KeyError")
    # Sent first to the same worker, whose results are stored in the order they come.
    assert running.app.AsyncResult(silent.id).state == "PENDING"


@pytest.mark.needs("limits-in-c")
@pytest.mark.shows("task soft_time_limit", "outcome soft-time-limit")
def test_soft_limit_lets_the_task_clean_up(running: Rig) -> None:
    clean, raising = running.task("limited").delay(True), running.task("limited").delay(False)
    assert clean.get(timeout=TIMEOUT_S) == "cleaned up"
    assert outcome(raising) == ("FAILURE", "SoftTimeLimitExceeded")


@pytest.mark.each_pool
@pytest.mark.needs("time-limits")
@pytest.mark.shows("task time_limit", "outcome hard-time-limit")
def test_hard_limit_ends_only_the_task_that_ran_over_it(running: Rig) -> None:
    limited = running.task("hard_limited").delay()
    others = [running.task("add").delay(number, 1) for number in range(50)]
    assert outcome(limited) == ("FAILURE", "TimeLimitExceeded")
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(1, 51))


@pytest.mark.each_pool
@pytest.mark.needs("time-limits")
@pytest.mark.shows("task acks_on_timeout", "setting task_acks_on_timeout")
def test_time_out_that_is_not_acknowledged_runs_again(running: Rig, tmp_path: Path) -> None:
    result = running.task("slow_once").delay(str(tmp_path / "starts"))
    wait_until(lambda: result.state == "SUCCESS", "its second run", TIMEOUT_S)
    assert result.get(timeout=TIMEOUT_S) == 2


@pytest.mark.each_pool
@pytest.mark.needs("processes")
@pytest.mark.shows("task reject_on_worker_lost", "setting task_reject_on_worker_lost")
def test_task_that_is_not_to_run_again_fails_with_its_process(running: Rig, tmp_path: Path) -> None:
    result = running.task("die_for_good").delay(str(tmp_path / "starts"))
    assert outcome(result) == ("FAILURE", "WorkerLostError")
    assert read_lines(str(tmp_path / "starts")) == ["start"]


@pytest.mark.each_pool
@pytest.mark.shows("verb Reject", "outcome reject")
def test_rejected_call_is_a_failure_for_whoever_waits(running: Rig, tmp_path: Any) -> None:
    result = running.task("handled").delay(str(tmp_path / "lines"), "reject")
    assert outcome(result) == ("FAILURE", "Reject")


@pytest.mark.shows("verb register_task")
def test_class_based_task_runs(running: Rig) -> None:
    assert running.task("counting").delay(1).get(timeout=TIMEOUT_S) >= 1


if PRODUCT != "celery":

    @pytest.mark.shows("task acks_on_failure")
    def test_failure_that_is_not_acknowledged_is_kept_as_a_dead_letter(running: Rig) -> None:
        result = running.task("unacked_failure").delay()
        assert outcome(result) == ("FAILURE", "KeyError")
        (letter,) = (
            letter
            for letter in running.app.publishing.publisher.dead_letters(100)
            if letter["id"] == result.id
        )
        assert letter["reason"] == "rejected"
        assert "not to be acknowledged" in letter["detail"]

    @pytest.mark.shows("setting task_acks_on_failure", "setting task_acks_on_failure_or_timeout")
    @pytest.mark.parametrize("name", ["task_acks_on_failure", "task_acks_on_failure_or_timeout"])
    def test_failures_are_kept_when_the_settings_say_so(sqlite_rig: Rig, name: str) -> None:
        rig = sqlite_rig.configure(**{name: False})
        rig.worker()
        result = rig.task("fail").delay("x")
        assert outcome(result) == ("FAILURE", "Boom")
        (letter,) = rig.app.publishing.publisher.dead_letters(10)
        assert letter["id"] == result.id

    @pytest.mark.shows("task resultrepr_maxsize")
    def test_result_is_shortened_in_the_log(sqlite_rig: Rig) -> None:
        worker = sqlite_rig.worker()
        assert len(sqlite_rig.task("long_result").delay().get(timeout=TIMEOUT_S)) == 1000
        line = worker.wait_for_line(r"proj\.long_result.* succeeded in .*: (.*)$")
        assert 20 < len(line[1]) < 50
