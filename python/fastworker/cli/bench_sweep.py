"""``fastworker bench sweep``: how throughput changes with slots, processes, workers, prefetch or payload."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli import bench_options
from fastworker.cli.bench_options import option
from fastworker.cli.group import Command
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import SECONDS

if TYPE_CHECKING:
    from fastworker.bench.axes import Axis


@click.command("sweep", cls=Command)
@option(
    "--over",
    "axes",
    multiple=True,
    metavar="AXIS=VALUE,…",
    help="What varies: concurrency, processes, workers, prefetch or payload (KiB); may be given twice, for a grid.  "
    "[default: concurrency, 1 to 4 per core]",
    show_default=False,
)
@bench_options.of_workload
@option("--duration", type=SECONDS, default="3s", help="Of each visit.")
@option("--warm-up", type=SECONDS, default="1s", help="Of each visit; not counted.")
@option("--repeats", type=click.IntRange(min=1), default=5, help="Rounds; each visits all values.")
@bench_options.of_workers
@bench_options.of_output
@pass_session
def sweep_command(session: Session, /, **given: Any) -> int:
    """Measure the most that goes through for several values of a setting, and say which value is best and what binds.

    Each visit starts workers, keeps their queue full, and counts what ends. Rounds visit all values in an order of
    their own. Exit status as of “bench run”.
    """
    from fastworker.bench.errors import BenchError

    try:
        return _sweep(session, given)
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 1


def _sweep(session: Session, given: dict[str, Any]) -> int:
    from rich.console import Console

    from fastworker.bench import axes as axes_of
    from fastworker.bench.errors import BenchError
    from fastworker.bench.show import live
    from fastworker.bench.sweep import SweepSettings, sweep

    output = bench_options.Output(session, given)
    axes = _axes(given["axes"]) or [axes_of.default_axis(len(os.sched_getaffinity(0)))]
    names = [axis.name for axis in axes]
    if len(axes) > 2 or len(set(names)) < len(names):
        raise click.UsageError(
            f"--over {', '.join(names)}: expected one axis, or two different ones"
        )
    given["arrivals"] = "closed"
    if "payload" in names and given["workload"] is None and given["task"] is None:
        given["workload"] = "echo"
    workload = bench_options.workload(given)
    app, spec = bench_options.application(session, is_ours=given["task"] is None)
    bench_options.check_task(given["task"], app.tasks)
    settings = bench_options.settings(session, given, workload=workload, spec=spec)
    try:
        for point in axes_of.points(axes):
            point.settings(settings).check()
    except BenchError as error:
        raise click.UsageError(str(error)) from None
    with live(Console(stderr=True, quiet=session.quiet)) as progress:
        content = sweep(app, SweepSettings(settings, axes), progress)
    return output.of(content)


def _axes(texts: Sequence[str]) -> list[Axis]:
    from fastworker.bench import axes
    from fastworker.bench.errors import BenchError

    try:
        return [axes.parse(text) for text in texts]
    except BenchError as error:
        raise click.UsageError(str(error)) from None
