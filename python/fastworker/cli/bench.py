"""``fastworker bench``: measure an installation, or one's own task."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastworker.cli.bench_rivals import rivals_command
from fastworker.cli.group import Command, CommandGroup, Option
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import SECONDS

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.bench.workload import Workload

F = TypeVar("F", bound=Callable[..., Any])

_WORKLOADS = ("noop", "echo", "sleep", "spin", "mixed", "tree", "chord", "eta", "crawl")
_ARRIVALS = ("constant", "poisson", "bursts", "recorded", "closed", "drain")
_PATH = click.Path(dir_okay=False, path_type=Path)


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, cls=Option, **{"show_default": True, **attributes})


@click.group(cls=CommandGroup)
def bench() -> None:
    """Measure what this machine and this broker can do."""


bench.add_command(rivals_command)


@bench.command("run", cls=Command)
@_option("-w", "--workload", type=click.Choice(_WORKLOADS), help="A built-in one.")
@_option("--task", metavar="NAME", help="A task of the application instead.")
@_option(
    "--args-file",
    type=_PATH,
    help='JSON lines: a list of arguments, or {"args": …, "kwargs": …, "at": …}.',
)
@_option("--arrivals", type=click.Choice(_ARRIVALS), default="poisson", help="When calls come.")
@_option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=100.0, help="Arrivals a second."
)
@_option("--duration", type=SECONDS, default="10s", help="Of each repeat.")
@_option("--warm-up", type=SECONDS, default="2s", help="Before the first one; not counted.")
@_option("--repeats", type=click.IntRange(min=1), default=5, help="How often.")
@_option("--seed", type=int, default=1, help="The same seed draws the same arrivals and calls.")
@_option("--workers", type=click.IntRange(min=1), default=1, help="Worker nodes to start.")
@_option(
    "-c",
    "--concurrency",
    type=click.IntRange(min=1),
    help="Slots of each; one per core if not given.",
)
@_option("-P", "--pool", default="prefork", help="What runs tasks in them.")
@_option(
    "--worker-options", metavar="TEXT", default="", help="Further options of “fastworker worker”."
)
@_option("--attach", is_flag=True, help="Measure the workers that run, in the task's own queue.")
@_option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME",
    help="Of those only this one; may be repeated.",
)
@_option(
    "--in-flight", type=click.IntRange(min=2), default=1000, help="closed: messages kept waiting."
)
@_option(
    "--messages", type=click.IntRange(min=1), default=10_000, help="drain: messages in the queue."
)
@_option("--connections", type=click.IntRange(min=1), default=1, help="Publishers that take turns.")
@_option("--rtt", type=SECONDS, default="0s", help="Added to each round trip to the broker.")
@_option("--size-kb", type=click.FloatRange(min=0), default=1.0, help="echo: size of the argument.")
@_option(
    "--distribution",
    type=click.Choice(("constant", "exponential", "lognormal", "pareto")),
    default="constant",
    help="sleep, spin: of the times.",
)
@_option("--mean", type=SECONDS, default="10ms", help="sleep, spin, mixed, crawl: mean time.")
@_option("--width", type=click.IntRange(min=1), default=4, help="tree: calls of each call.")
@_option("--depth", type=click.IntRange(min=1), default=3, help="tree: levels.")
@_option("--members", type=click.IntRange(min=1), default=100, help="chord: members.")
@_option("--delay", type=SECONDS, default="2s", help="eta: so much after publication.")
@_option("--json", "json_file", type=_PATH, help="Write the measurements there.")
@_option(
    "--html",
    "html_file",
    type=_PATH,
    help="Write the report there.  [default: bench.html with --task]",
)
@_option(
    "--assert",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Such as p99_wait<50ms; may be repeated.",
)
@_option(
    "--compare",
    type=_PATH,
    metavar="BEFORE",
    help="A file of an earlier run, to compare this one with.",
)
@pass_session
def run_command(session: Session, /, **given: Any) -> int:
    """Run calls and measure them. Starts workers of its own, in a queue of its own, and stops them.

    Exit status: 0 measured, and all conditions hold; 1 the run is not valid, or one does not; 2 it could not be
    started.
    """
    from fastworker.bench.errors import BenchError

    try:
        return _run(session, given)
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 1


@bench.command("compare", cls=Command)
@click.argument("before", type=_PATH)
@click.argument("after", type=_PATH)
@pass_session
def compare_command(session: Session, before: Path, after: Path) -> int:
    """Compare two files of “bench run --json”: how much each measure differs, and whether that is more than chance."""
    from fastworker.bench import report
    from fastworker.bench.errors import BenchError

    try:
        _show_comparison(session, report.read(before), report.read(after))
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 2
    return 0


@bench.command("html", cls=Command)
@click.argument("source", type=_PATH)
@click.argument("target", type=_PATH)
def html_command(source: Path, target: Path) -> int:
    """Make the report of a file of “bench run --json”."""
    from fastworker.bench import html, report
    from fastworker.bench.errors import BenchError

    try:
        target.write_text(html.page(report.read(source)))
    except (BenchError, OSError) as error:
        complain(f"fastworker: {error}")
        return 2
    return 0


def _run(session: Session, given: dict[str, Any]) -> int:
    from rich.console import Console

    from fastworker.bench import check, html, report
    from fastworker.bench.run import run
    from fastworker.bench.settings import BenchSettings
    from fastworker.bench.show import live, show

    checks = [check.parse(text) for text in given["conditions"]]
    before = None if given["compare"] is None else report.read(given["compare"])
    workload = _workload(given)
    app, spec = _application(session, is_ours=given["task"] is None)
    names = list(app.tasks)  # they are there from now on
    if given["attach"] and given["arrivals"] in ("closed", "drain"):
        raise click.UsageError(
            f"--attach with --arrivals {given['arrivals']}: it pauses and empties the queue, "
            f"which is not the bench's own"
        )
    if given["task"] not in (None, *names) and not given["attach"]:
        from fastworker.app.nearest import did_you_mean

        hint = did_you_mean(given["task"], names)
        raise click.BadParameter(
            f"no task {given['task']!r} in this application{hint}", param_hint="--task"
        )
    settings = BenchSettings(
        workload=workload,
        arrivals=given["arrivals"],
        rate=given["rate"],
        duration_s=given["duration"],
        warm_up_s=given["warm_up"],
        repeats=given["repeats"],
        seed=given["seed"],
        spec=spec,
        workers=given["workers"],
        concurrency=given["concurrency"] or len(os.sched_getaffinity(0)),
        pool=given["pool"],
        worker_options=shlex.split(given["worker_options"]),
        is_attached=given["attach"],
        nodes=given["nodes"],
        in_flight=given["in_flight"],
        messages=given["messages"],
        connections=given["connections"],
        rtt_s=given["rtt"],
        command=("fastworker", *session.arguments),
    )
    console = Console(no_color=session.no_color or None, stderr=False)
    with live(Console(stderr=True, quiet=session.quiet)) as progress:
        content = run(app, settings, progress)
    if given["json_file"] is not None:
        report.write(given["json_file"], content)
    html_file = given["html_file"] or (Path("bench.html") if given["task"] is not None else None)
    if html_file is not None:
        html_file.write_text(html.page(content))
    show(console, content)
    if html_file is not None:
        session.say(f"report: {html_file}")
    if before is not None:
        _show_comparison(session, before, content)
    failed = check.failures(checks, content["summary"])
    for line in failed:
        complain(f"assertion failed: {line}")
    return 1 if failed or not content["valid"] else 0


def _workload(given: dict[str, Any]) -> Workload:
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


def _application(session: Session, *, is_ours: bool) -> tuple[FastWorker, str]:
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


def _show_comparison(session: Session, before: dict[str, Any], after: dict[str, Any]) -> None:
    from rich.console import Console

    from fastworker.bench.compare import compare, differences
    from fastworker.bench.show import show_comparison

    console = Console(file=sys.stdout, no_color=session.no_color or None)
    show_comparison(console, compare(before, after), differences(before, after))
