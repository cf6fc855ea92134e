"""The command line: default command, misspelt words, errors of the user's module, environment."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from fastworker import FastWorker
from fastworker.cli.worker import _run
from fastworker.worker.options import WorkerOptions

Run = Callable[..., tuple[int, str, str]]
TASKS = (
    "from fastworker import FastWorker\n"
    "app = FastWorker('proj', broker='redis://:hunter2@127.0.0.1:1/5', set_as_current=False)\n"
    "@app.task\ndef add(x, y): return x + y\n"
)


@pytest.fixture(autouse=True)
def tasks(project: Path) -> None:
    (project / "fwt_tasks.py").write_text(TASKS)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, WorkerOptions]]:
    """What ``worker.run`` was called with, instead of running."""
    from fastworker.worker import worker

    calls: list[tuple[Any, WorkerOptions]] = []

    def run(app: Any, options: WorkerOptions) -> int:
        calls.append((app, options))
        return 0

    monkeypatch.setattr(worker, "run", run)
    return calls


def test_nothing_prints_the_help(fastworker: Run) -> None:
    status, out, _ = fastworker()
    assert status == 0
    assert "Commands:" in out


@pytest.mark.parametrize(
    "line",
    [
        "-A fwt_tasks worker -c 3 -l info -Q a,b",
        "-A fwt_tasks -c 3 -l INFO -Q a,b",
        "-A fwt_tasks -l info worker --queues=a,b --concurrency=3",
        "-c3 --loglevel info -Qa,b -A fwt_tasks",
    ],
)
def test_worker_is_the_default_command(fastworker: Run, started: list[Any], line: str) -> None:
    assert fastworker(*line.split()) == (0, "", "")
    (_, options) = started[0]
    assert (options.concurrency, options.loglevel, options.queues) == (3, logging.INFO, ("a", "b"))


def test_an_app_alone_starts_a_worker_with_the_defaults(
    fastworker: Run, started: list[Any]
) -> None:
    fastworker("-A", "fwt_tasks")
    ((app, options),) = started
    assert app.main == "proj"
    assert options.app_spec == "fwt_tasks"
    assert options.hostname.startswith("fastworker@")
    assert (options.concurrency, options.loglevel, options.pool) == (
        None,
        logging.WARNING,
        "prefork",
    )


def test_options_that_are_settings_reach_the_settings(fastworker: Run, started: list[Any]) -> None:
    fastworker(
        *("-A", "fwt_tasks", "--time-limit", "9", "--soft-time-limit", "8.5", "-E"),
        *("--prefetch-multiplier", "2", "--log-format", "json"),
    )
    ((app, _),) = started
    conf = app.conf
    assert (conf.task_time_limit, conf.task_soft_time_limit) == (9, 8.5)
    assert conf.worker_send_task_events is True
    assert conf.worker_prefetch_multiplier == 2
    assert conf.worker_log_style == "json"


@pytest.mark.parametrize("prefix", ["FASTWORKER", "CELERY"])
def test_every_option_has_a_variable(
    fastworker: Run, started: list[Any], monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}_WORKER_CONCURRENCY", "5")
    monkeypatch.setenv("APP", "fwt_tasks")
    assert fastworker("worker")[0] == 0
    assert started[0][1].concurrency == 5


@pytest.mark.shows("route --lane")
def test_lanes_reach_the_settings_in_their_order(fastworker: Run, started: list[Any]) -> None:
    line = "-A fwt_tasks --lane io=crawl,asyncio,500,processes=2 --lane cpu=a,b,processes,2"
    assert fastworker(*line.split())[0] == 0
    ((app, options),) = started
    assert list(app.conf.worker_lanes.items()) == [
        ("io", {"queues": ["crawl"], "pool": "asyncio", "concurrency": 500, "processes": 2}),
        ("cpu", {"queues": ["a", "b"], "pool": "prefork", "concurrency": 2}),
    ]
    assert [lane.name for lane in options.lanes] == ["io", "cpu"]
    json.dumps(options.overrides())  # another zygote is told by it


def test_lanes_of_the_settings_contradict_options_for_one_pool(
    fastworker: Run, started: list[Any], project: Path
) -> None:
    with (project / "fwt_tasks.py").open("a") as file:
        lane = {"queues": ["x"], "pool": "threads", "concurrency": 1}
        file.write(f"\napp.conf.update(worker_lanes={{'a': {lane}}}, worker_pool='solo')\n")
    status, _, err = fastworker("-A", "fwt_tasks", "worker", "-c", "4")
    assert (status, started) == (2, [])
    assert "the setting worker_lanes says for each lane" in err
    # Lanes on the command line are those that count; the pool for a worker without lanes does not.
    assert fastworker("-A", "fwt_tasks", "--lane", "b=y,threads,2")[0] == 0
    ((app, _),) = started
    assert list(app.conf.worker_lanes) == ["b"]


def test_auto_concurrency_wins_over_the_setting(fastworker: Run, started: list[Any]) -> None:
    fastworker("-A", "fwt_tasks", "-c", "auto")
    assert started[0][0].conf.worker_concurrency == "auto"


def test_broker_option_wins_over_the_app(fastworker: Run, started: list[Any]) -> None:
    fastworker("-A", "fwt_tasks", "-b", "redis://elsewhere/3", "worker")
    assert started[0][0].conf.broker_url == "redis://elsewhere/3"


def test_workdir_is_where_the_app_is(fastworker: Run, project: Path, started: list[Any]) -> None:
    (project / "sub").mkdir()
    (project / "sub/fwt_inner.py").write_text(TASKS.replace("proj", "inner"))
    assert fastworker("--workdir", "sub", "-A", "fwt_inner")[0] == 0
    assert started[0][0].main == "inner"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-A fwt_tasks wroker", "did you mean 'worker'?"),
        ("-A fwt_tasks dead lisst", "did you mean 'list'?"),
        ("-A fwt_tasks --concurency 2", "--concurrency"),
        ("-A fwt_tasks events", "--dump does without"),
        ("-A fwt_tasks worker -B", "--beat comes in a later version"),
        ("-A fwt_tasks worker --autoscale 1,4", "expected the larger number first; try 4,1"),
        ("-A fwt_tasks worker --autoscale many", "expected two whole numbers MAX,MIN; try 10,3"),
        ("-A fwt_tasks worker --max-memory-per-child 0", "is not in the range x>=1"),
        ("-A fwt_tasks -P gevnt", "did you mean 'gevent'?"),
        ("-A fwt_tasks -P gevent --autoscale 4,1 --processes 2", "leave one of them out"),
        ("-A fwt_tasks -P asynco", "did you mean 'asyncio'?"),
        ("-A fwt_tasks -P solo --autoscale 4,1", "the pool solo cannot grow"),
        ("-A fwt_tasks --processes 2", "with the pool prefork it is --concurrency"),
        ("-A fwt_tasks -P prefrok", "did you mean 'prefork'"),
        ("-A fwt_tasks --lane cpu=a,proceses,2", "did you mean 'processes'"),
        ("-A fwt_tasks --lane cpu=a,processes", "ends in 'processes'"),
        ("-A fwt_tasks --lane cpu=a,solo,1", "solo cannot be a lane"),
        ("-A fwt_tasks --lane a=x,threads,1 --lane a=y,threads,1", "two lanes are called 'a'"),
        ("-A fwt_tasks --lane a=x,threads,1 --lane b=x,threads,1", "in the lanes a and b"),
        ("-A fwt_tasks --lane a=x,threads,1 -Q y", "--queues is for a worker with one pool"),
        ("-A fwt_tasks --lane a=x,threads,1 -X y", "--exclude-queues is for a worker"),
        ("-A fwt_tasks --lane a=x,threads,1 -c 4", "--concurrency is for a worker"),
        ("-A fwt_tasks --lane a=x,threads,1 -P asyncio", "--pool is for a worker with one"),
        ("-A fwt_tasks --lane a=x,threads,1 --processes 2", "--processes is for a worker"),
        ("-A fwt_tasks --lane a=x,processes,1 --autoscale 4,1", "--autoscale is for a worker"),
        ("-A fwt_tasks -l inof", "did you mean 'INFO'"),
        ("-A fwt_tasks -c many", "expected a whole number or auto"),
        ("-A fwt_tasks -n %x@h", "which stands for nothing"),
        ("worker -A fwt_tasks", "stands before the command"),
        ("worker", "name its module with -A"),
        ("--loader x:Y report", "fastworker has no loaders"),
        ("--workdir nowhere report", "cannot change to 'nowhere'"),
    ],
)
def test_what_cannot_be_started_says_why_and_exits_2(
    fastworker: Run, started: list[Any], line: str, said: str
) -> None:
    status, _, err = fastworker(*line.split())
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert started == []


def test_options_without_effect_are_accepted(fastworker: Run, started: list[Any]) -> None:
    line = "-A fwt_tasks --without-gossip --without-mingle --without-heartbeat -O fair"
    assert fastworker(*line.split()) == (0, "", "")


PRELOAD = """
import click
from fastworker.signals import user_preload_options

app.user_options["preload"].add(click.Option(("-Z", "--template"), default="plain"))

@user_preload_options.connect
def told(options, app, **_):
    print("told", app.main, options)
"""


@pytest.mark.shows("signal user_preload_options")
def test_options_of_the_application_are_told_before_any_command(
    fastworker: Run, project: Path, started: list[Any]
) -> None:
    with (project / "fwt_tasks.py").open("a") as file:
        file.write(PRELOAD)
    status, out, _ = fastworker("-A", "fwt_tasks", "worker", "-Z", "fancy")
    assert (status, out) == (0, "told proj {'template': 'fancy'}\n")
    assert fastworker("-A", "fwt_tasks")[1] == "told proj {'template': 'plain'}\n"
    assert fastworker("-A", "fwt_tasks", "report", "--template=x")[1].startswith("told proj")
    assert "--template" in fastworker("-A", "fwt_tasks", "worker", "--help")[1]


def test_options_for_bootsteps_are_refused_with_what_to_use(
    fastworker: Run, project: Path, started: list[Any]
) -> None:
    with (project / "fwt_tasks.py").open("a") as file:
        file.write("app.user_options['worker'].add(None)\n")
    status, _, err = fastworker("-A", "fwt_tasks")
    assert (status, started) == (2, [])
    assert "use app.user_options['preload']" in err


def test_a_setting_that_cannot_be_used_stops_the_start(
    fastworker: Run, project: Path, started: list[Any]
) -> None:
    with (project / "fwt_tasks.py").open("a") as file:
        file.write("app.conf.task_time_limit = 'soon'\n")
    status, _, err = fastworker("-A", "fwt_tasks")
    assert (status, started) == (2, [])
    assert "setting task_time_limit is 'soon': expected a number" in err


def test_an_error_in_the_users_module_shows_their_frames_alone(
    fastworker: Run, project: Path
) -> None:
    (project / "fwt_bad.py").write_text("def setup():\n    return 1 / 0\n\nsetup()\n")
    status, _, err = fastworker("-A", "fwt_bad", "worker")
    assert status == 2
    assert 'fwt_bad.py", line 2, in setup' in err
    assert "importlib" not in err
    assert "fastworker/" not in err
    assert err.strip().splitlines()[-1] == (
        "fastworker: cannot import 'fwt_bad' for -A fwt_bad: fix the ZeroDivisionError above"
    )


def test_the_report_masks_secrets_and_names_what_is_odd(fastworker: Run, project: Path) -> None:
    with (project / "fwt_tasks.py").open("a") as file:
        file.write("app.conf.update(task_serialiser='json', worker_agent='x:Y')\n")
    status, out, _ = fastworker("-A", "fwt_tasks", "report")
    assert status == 0
    assert "hunter2" not in out
    assert "redis://:********@127.0.0.1:1/5" in out
    assert "did you mean 'task_serializer'?" in out
    assert "worker_agent has no effect: Celery's hook for cell" in out
    assert "python" in out


def test_purge_empties_the_queues_that_will_be_consumed(
    fastworker: Run, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastworker.app.publishing import Publishing

    class Queues:
        purged: list[str] = []  # noqa: RUF012

        def purge(self, name: str) -> int:
            self.purged.append(name)
            return 2

    monkeypatch.setattr(Publishing, "publisher", property(lambda _: Queues()))
    _, _, err = fastworker("-A", "fwt_tasks", "--purge", "-Q", "a,b", "-X", "b")
    assert (Queues.purged, len(started)) == (["a"], 1)
    assert "purged 2 messages from a" in err


@pytest.mark.shows("setting worker_pool")
def test_pool_that_there_is_none_of_stops_the_start() -> None:
    app = FastWorker("proj", broker="redis://nowhere/0", set_as_current=False)
    app.conf.worker_pool = "goroutines"
    with pytest.raises(
        click.UsageError, match="setting worker_pool 'goroutines': expected prefork"
    ):
        _run(app, WorkerOptions("w@h"))
