"""The worker's command line: which queues, which name, how many processes, what it says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

TIMEOUT_S = 20


@pytest.mark.shows("route -Q")
def test_worker_consumes_only_the_queues_of_its_option(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "effects")
    for queue in ("red", "green", "blue"):
        rig.task("record").apply_async((path, queue), queue=queue)
    rig.worker("-Q", "red,blue")
    wait_until(lambda: len(read_lines(path)) == 2, "two effects")
    last = rig.task("record").apply_async((path, "last"), queue="blue")
    last.get(timeout=TIMEOUT_S)
    assert sorted(read_lines(path)) == ["blue", "last", "red"]


@pytest.mark.shows("setting task_default_queue")
def test_without_the_option_the_default_queue_is_consumed(rig: Rig) -> None:
    rig.configure(task_default_queue="mine")
    result = rig.task("who").delay()
    rig.worker()
    assert result.get(timeout=TIMEOUT_S)["routing_key"] == "mine"


def test_worker_has_the_name_of_its_option(rig: Rig) -> None:
    worker = rig.worker("-n", "one@somewhere")
    assert rig.task("who").delay().get(timeout=TIMEOUT_S)["hostname"] == "one@somewhere"
    assert "one@somewhere ready." in worker.log


def test_name_expands_the_host(rig: Rig) -> None:
    rig.worker("-n", "two@%h")
    seen = rig.task("who").delay().get(timeout=TIMEOUT_S)["hostname"]
    assert seen == f"two@{os.uname().nodename}"


@pytest.mark.shows("setting worker_disable_prefetch")
@pytest.mark.parametrize("how", ["option", "setting"])
def test_no_more_is_held_than_runs_when_told_so(redis_rig: Rig, gate: Gate, how: str) -> None:
    redis_rig.configure(worker_disable_prefetch=how == "setting", task_acks_late=True)
    results = [redis_rig.task("hold").delay(gate.path) for _ in range(5)]
    options = ("--disable-prefetch",) if how == "option" else ()
    redis_rig.worker("-n", "w@here", *options, concurrency=2)
    gate.wait_started(2)
    for _ in range(3):
        # Whatever it may fetch it has fetched before it answers once more.
        replies = redis_rig.app.control.inspect(["w@here"], timeout=5).reserved()
        assert not [task for task in replies["w@here"] if task["time_start"] is None]
    client = redis_rig.redis()
    assert (client.llen("celery"), client.hlen("unacked")) == (3, 2)
    gate.release(5)
    assert all(result.get(timeout=TIMEOUT_S) for result in results)


@pytest.mark.shows("setting worker_concurrency")
def test_concurrency_is_the_number_of_processes(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=3)
    results = [rig.task("hold").delay(gate.path) for _ in range(5)]
    assert len(set(gate.wait_started(3))) == 3
    gate.release(5)
    assert len({result.get(timeout=TIMEOUT_S) for result in results}) <= 3


@pytest.mark.shows("call priority", "property priority")
def test_more_urgent_tasks_run_first(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "order")
    for priority in (9, 3, 0, 6, 9, 0):
        rig.task("record").apply_async((path, str(priority)), priority=priority)
    rig.worker(concurrency=1)
    wait_until(lambda: len(read_lines(path)) == 6, "six effects")
    assert read_lines(path) == ["0", "0", "3", "6", "9", "9"]


def test_tasks_of_one_priority_run_in_order(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "order")
    for number in range(300):
        rig.task("record").delay(path, str(number))
    rig.worker(concurrency=1)
    wait_until(lambda: len(read_lines(path)) == 300, "300 effects")
    assert list(map(int, read_lines(path))) == list(range(300))


def test_slow_task_does_not_delay_those_behind_it(rig: Rig, gate: Gate) -> None:
    rig.worker()
    held = rig.task("hold").delay(gate.path)
    others = [rig.task("add").delay(number, 0) for number in range(100)]
    assert [other.get(timeout=TIMEOUT_S) for other in others] == list(range(100))
    assert not held.ready()


def test_start_and_end_of_tasks_are_logged_at_info(rig: Rig) -> None:
    worker = rig.worker()
    result = rig.task("add").delay(2, 3)
    result.get(timeout=TIMEOUT_S)
    worker.wait_for_line(rf"Task proj\.add\[{result.id}\] received")
    worker.wait_for_line(rf"Task proj\.add\[{result.id}\] succeeded in [\d.e-]+s: 5")


def test_failure_is_logged_with_its_traceback(rig: Rig) -> None:
    worker = rig.worker()
    result = rig.task("fail").delay("no luck")
    result.get(timeout=TIMEOUT_S, propagate=False)
    worker.wait_for_line(
        rf"Task proj\.fail\[{result.id}\] raised unexpected: Boom\('no luck'\)"
        r"[\s\S]*Traceback[\s\S]*raise Boom"
    )


def test_warning_level_says_nothing_of_tasks(rig: Rig) -> None:
    environment = rig.spec.environment()
    arguments = ("-A", "tests.support.worker_app", "worker", "--loglevel", "WARNING")
    worker = rig.run(command(PRODUCT), *arguments, "--concurrency", "1", environment=environment)
    rig.task("add").delay(2, 3).get(timeout=TIMEOUT_S)
    assert "proj.add[" not in worker.log


def test_logfile_gets_the_log(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    environment = rig.spec.environment()
    arguments = ("-A", "tests.support.worker_app", "worker", "-l", "INFO", "--logfile", str(path))
    rig.run(command(PRODUCT), *arguments, environment=environment)
    wait_until(lambda: path.exists() and "ready." in path.read_text(), "the log file")


if PRODUCT == "fastworker":

    def test_worker_is_the_default_command(rig: Rig) -> None:
        arguments = (command(PRODUCT), "-A", "tests.support.worker_app")
        rig.run(*arguments, environment=rig.spec.environment())
        assert rig.task("add").delay(2, 2).get(timeout=TIMEOUT_S) == 4

    def test_json_log_lines_are_json(rig: Rig) -> None:
        worker = rig.worker("--log-format", "json")
        result = rig.task("add").delay(2, 2)
        result.get(timeout=TIMEOUT_S)
        worker.wait_for_line(rf"{result.id}.*succeeded|succeeded.*{result.id}")
        lines = [line for line in worker.log.splitlines() if line.startswith("{")]
        assert any("ready." in json.loads(line)["message"] for line in lines)

    def test_banner_says_what_was_chosen(rig: Rig) -> None:
        log = rig.worker("-n", "named@host").log
        for said in ("named@host", "proj", "concurrency", "prefetch", "lease", "celery"):
            assert said in log, f"{said!r} is not in the banner:\n{log}"

    def test_misspelt_option_names_the_nearest(rig: Rig) -> None:
        worker = rig.run(
            *(command(PRODUCT), "-A", "tests.support.worker_app", "worker", "--concurency", "2"),
            environment=rig.spec.environment(),
        )
        assert worker.wait_ended() == 2
        assert re.search(r"--concurency.*--concurrency", worker.log, re.DOTALL)

    def test_report_masks_secrets(rig: Rig) -> None:
        spec = rig.spec.with_conf(result_backend="redis://user:s3cret@127.0.0.1:6379/0")
        report = rig.run(
            *(command(PRODUCT), "-A", "tests.support.worker_app", "report"),
            environment=spec.environment(),
        )
        assert report.wait_ended() == 0
        assert "result_backend" in report.log
        assert "s3cret" not in report.log
