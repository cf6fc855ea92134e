"""``fastworker bench``: measure an installation, or one's own task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli import bench_options
from fastworker.cli.bench_options import FILE, option
from fastworker.cli.bench_rivals import rivals_command
from fastworker.cli.bench_sweep import sweep_command
from fastworker.cli.group import Command, CommandGroup
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import SECONDS

if TYPE_CHECKING:
    from fastworker.bench.settings import Search

_ARRIVALS = ("constant", "poisson", "bursts", "recorded", "closed", "drain")


@click.group(cls=CommandGroup)
def bench() -> None:
    """Measure what this machine and this broker can do."""


bench.add_command(rivals_command)
bench.add_command(sweep_command)


@bench.command("run", cls=Command)
@bench_options.of_workload
@option("--arrivals", type=click.Choice(_ARRIVALS), default="poisson", help="When calls come.")
@option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=100.0, help="Arrivals a second."
)
@option("--search", is_flag=True, help="Look for the highest rate that the workers keep up with.")
@option(
    "--target",
    metavar="CONDITION",
    default="p99_wait<1s",
    help="--search: what must hold besides the queue not growing.",
)
@option(
    "--precision",
    type=click.FloatRange(min=0.005, max=0.5),
    default=0.05,
    help="--search: how exactly.",
)
@option("--duration", type=SECONDS, default="10s", help="Of each repeat, or trial.")
@option("--warm-up", type=SECONDS, default="2s", help="Before the first one; not counted.")
@option("--repeats", type=click.IntRange(min=1), default=5, help="How often.")
@bench_options.of_workers
@option("--attach", is_flag=True, help="Measure the workers that run, in the task's own queue.")
@option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME",
    help="Of those only this one; may be repeated.",
)
@option(
    "--messages", type=click.IntRange(min=1), default=10_000, help="drain: messages in the queue."
)
@bench_options.of_output
@pass_session
def run_command(session: Session, /, **given: Any) -> int:
    """Run calls and measure them: waits at a rate, or the most that goes through. Starts workers of its own, in a
    queue of its own, and stops them.

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
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@pass_session
def compare_command(session: Session, before: Path, after: Path) -> int:
    """Compare two files of “bench run --json” or “bench sweep --json”: how much each measure differs, and whether that
    is more than chance.
    """
    from fastworker.bench import files
    from fastworker.bench.errors import BenchError

    try:
        contents = files.read(before), files.read(after)
        files.show_comparison(bench_options.console(session), *contents)
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 2
    return 0


@bench.command("html", cls=Command)
@click.argument("source", type=FILE)
@click.argument("target", type=FILE)
def html_command(source: Path, target: Path) -> int:
    """Make the report of a file of “bench run --json” or “bench sweep --json”."""
    from fastworker.bench import files
    from fastworker.bench.errors import BenchError

    try:
        content = files.read(source)
        files.write(target, files.kind(content).page(content))
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 2
    return 0


def _run(session: Session, given: dict[str, Any]) -> int:
    from rich.console import Console

    from fastworker.bench.errors import BenchError
    from fastworker.bench.run import run
    from fastworker.bench.show import live

    output = bench_options.Output(session, given)
    workload = bench_options.workload(given)
    app, spec = bench_options.application(session, is_ours=given["task"] is None)
    names = list(app.tasks)  # they are there from now on
    if given["attach"] and given["arrivals"] in ("closed", "drain"):
        raise click.UsageError(
            f"--attach with --arrivals {given['arrivals']}: it pauses and empties the queue, "
            f"which is not the bench's own"
        )
    if not given["attach"]:
        bench_options.check_task(given["task"], names)
    if given["search"] and given["arrivals"] not in ("constant", "poisson", "bursts"):
        raise click.UsageError(
            f"--search with --arrivals {given['arrivals']}: expected poisson, constant or bursts, whose rate can be set"
        )
    try:
        search = _search(given)
    except BenchError as error:
        raise click.UsageError(str(error)) from None
    settings = bench_options.settings(
        session,
        given,
        workload=workload,
        spec=spec,
        rate=given["rate"],
        is_attached=given["attach"],
        nodes=given["nodes"],
        messages=given["messages"],
        search=search,
    )
    try:
        settings.check()
    except BenchError as error:
        raise click.UsageError(str(error)) from None
    with live(Console(stderr=True, quiet=session.quiet)) as progress:
        content = run(app, settings, progress)
    return output.of(content)


def _search(given: Mapping[str, Any]) -> Search | None:
    from fastworker.bench import check
    from fastworker.bench.settings import Search

    if not given["search"]:
        return None
    return Search(check.parse(given["target"], "--target"), given["precision"])
