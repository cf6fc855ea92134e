"""Options that the commands of ``fastworker bench`` share, and what they mean."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastworker.cli.group import Option
from fastworker.cli.session import Session, complain
from fastworker.cli.values import SECONDS

if TYPE_CHECKING:
    from rich.console import Console

    from fastworker.app.app import FastWorker
    from fastworker.bench.settings import BenchSettings
    from fastworker.bench.workload import Workload

F = TypeVar("F", bound=Callable[..., Any])

WORKLOADS = ("noop", "echo", "sleep", "spin", "mixed", "tree", "chord", "eta", "crawl")
FILE = click.Path(dir_okay=False, path_type=Path)


def option(*names: str, **attributes: Any) -> Callable[[F], F]:
    """An option that shows its default."""
    return click.option(*names, cls=Option, **{"show_default": True, **attributes})


def _all(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Options as one decorator; the first is the first in the help."""
    return lambda command: reduce(lambda so_far, one: one(so_far), reversed(options), command)


#: What is called.
of_workload = _all(
    option("-w", "--workload", type=click.Choice(WORKLOADS), help="A built-in one."),
    option("--task", metavar="NAME", help="A task of the application instead."),
    option(
        "--args-file",
        type=FILE,
        help='JSON lines: a list of arguments, or {"args": …, "kwargs": …, "at": …}.',
    ),
    option(
        "--size-kb",
        type=click.FloatRange(min=0),
        default=1.0,
        help="echo: size of the argument.",
    ),
    option(
        "--distribution",
        type=click.Choice(("constant", "exponential", "lognormal", "pareto")),
        default="constant",
        help="sleep, spin: of the times.",
    ),
    option("--mean", type=SECONDS, default="10ms", help="sleep, spin, mixed, crawl: mean time."),
    option("--width", type=click.IntRange(min=1), default=4, help="tree: calls of each call."),
    option("--depth", type=click.IntRange(min=1), default=3, help="tree: levels."),
    option("--members", type=click.IntRange(min=1), default=100, help="chord: members."),
    option("--delay", type=SECONDS, default="2s", help="eta: so much after publication."),
    option("--seed", type=int, default=1, help="The same seed draws the same arrivals and calls."),
)
#: By whom, and through what.
of_workers = _all(
    option("--workers", type=click.IntRange(min=1), default=1, help="Worker nodes to start."),
    option(
        "-c",
        "--concurrency",
        type=click.IntRange(min=1),
        help="Slots of each; one per core if not given.",
    ),
    option("-P", "--pool", default="prefork", help="What runs tasks in them."),
    option(
        "--worker-options",
        metavar="TEXT",
        default="",
        help="Further options of “fastworker worker”.",
    ),
    option(
        "--in-flight",
        type=click.IntRange(min=2),
        default=1000,
        help="closed, --search, sweep: messages kept waiting.",
    ),
    option(
        "--connections", type=click.IntRange(min=1), default=1, help="Publishers that take turns."
    ),
    option("--rtt", type=SECONDS, default="0s", help="Added to each round trip to the broker."),
)
#: What becomes of the measurements.
of_output = _all(
    option("--json", "json_file", type=FILE, help="Write the measurements there."),
    option(
        "--html",
        "html_file",
        type=FILE,
        help="Write the report there.  [default: bench.html with --task]",
    ),
    option(
        "--assert",
        "conditions",
        multiple=True,
        metavar="CONDITION",
        help="Such as p99_wait<50ms; may be repeated.",
    ),
    option(
        "--compare",
        type=FILE,
        metavar="BEFORE",
        help="A file of an earlier run, to compare this one with.",
    ),
)


def workload(given: dict[str, Any]) -> Workload:
    from fastworker.bench.workload import Parameters, built_in, of_task

    is_replay = given["arrivals"] == "recorded"
    if given["task"] is not None:
        if given["workload"] is not None:
            raise click.UsageError("--task and --workload: expected one of them")
        return of_task(given["task"], given["args_file"], is_replay=is_replay)
    if given["args_file"] is not None or is_replay:
        raise click.UsageError("--args-file and --arrivals recorded: expected with --task only")
    parameters = Parameters(
        size_kb=given["size_kb"],
        distribution=given["distribution"],
        mean_s=given["mean"],
        width=given["width"],
        depth=given["depth"],
        members=given["members"],
        delay_s=given["delay"],
    )
    return built_in(given["workload"] or "noop", parameters)


def application(session: Session, *, is_ours: bool) -> tuple[FastWorker, str]:
    """The application, and how a worker finds it."""
    if is_ours:
        from fastworker.bench.tasks import app

        if session.spec:
            raise click.UsageError(
                "-A: expected with --task only; a built-in workload brings its own application"
            )
        return app, "fastworker.bench.tasks:app"
    if session.spec is None:
        raise click.UsageError(
            "--task: name the application with -A before the command: fastworker -A proj bench run …"
        )
    return session.app, session.spec


def settings(session: Session, given: Mapping[str, Any], **fields: Any) -> BenchSettings:
    """What to do, by the options that are shared.

    Args:
        session: Of the command line.
        given: Its options; ``arrivals`` too.
        fields: Of ``BenchSettings``, which the command has itself.
    """
    from fastworker.bench.settings import BenchSettings

    return BenchSettings(
        arrivals=given["arrivals"],
        duration_s=given["duration"],
        warm_up_s=given["warm_up"],
        repeats=given["repeats"],
        seed=given["seed"],
        workers=given["workers"],
        concurrency=given["concurrency"] or len(os.sched_getaffinity(0)),
        pool=given["pool"],
        worker_options=shlex.split(given["worker_options"]),
        in_flight=given["in_flight"],
        connections=given["connections"],
        rtt_s=given["rtt"],
        command=("fastworker", *session.arguments),
        **fields,
    )


def check_task(task: str | None, names: Iterable[str]) -> None:
    """See that the application has the task that is called.

    Raises:
        click.BadParameter: It has not; the text names the nearest.
    """
    known = list(names)
    if task is not None and task not in known:
        from fastworker.app.nearest import did_you_mean

        raise click.BadParameter(
            f"no task {task!r} in this application{did_you_mean(task, known)}", param_hint="--task"
        )


def console(session: Session) -> Console:
    """Where results are shown."""
    from rich.console import Console

    return Console(file=sys.stdout, no_color=session.no_color or None)


class Output:
    """What becomes of the measurements, by the options ``of_output``.

    Args:
        session: Of the command line.
        given: Its options; wrong conditions and files are found before anything is measured.

    Raises:
        UsageError: A condition that is none, or a file that cannot be compared with.
    """

    def __init__(self, session: Session, given: Mapping[str, Any]) -> None:
        from fastworker.bench import check, files
        from fastworker.bench.errors import BenchError

        self._session = session
        try:
            self._checks = [check.parse(text) for text in given["conditions"]]
            self._before = None if given["compare"] is None else files.read(given["compare"])
        except BenchError as error:
            raise click.UsageError(str(error)) from None
        self._json: Path | None = given["json_file"]
        self._html: Path | None = given["html_file"]
        if self._html is None and given["task"] is not None:
            self._html = Path("bench.html")

    def of(self, content: Mapping[str, Any]) -> int:
        """Write, show, compare and check; returns the exit status.

        Raises:
            BenchError: A file cannot be written, or a condition names no measure of this run.
        """
        from fastworker.bench import check, files

        shown, kind = console(self._session), files.kind(content)
        if self._json is not None:
            files.write(self._json, files.as_json(content))
        if self._html is not None:
            files.write(self._html, kind.page(content))
        kind.show(shown, content)
        if self._html is not None:
            self._session.say(f"report: {self._html}")
        if self._before is not None:
            files.show_comparison(shown, self._before, content)
        failed = check.failures(self._checks, content["summary"])
        for line in failed:
            complain(f"assertion failed: {line}")
        return 1 if failed or not content["valid"] else 0
