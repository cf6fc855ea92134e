"""``fastworker bench rivals``: the same tasks on other task queues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import SECONDS

F = TypeVar("F", bound=Callable[..., Any])

_WORKLOADS = ("noop", "echo-1k", "echo-10k", "sleep", "spin", "all")
_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, resolve_path=True, path_type=Path)


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, cls=Option, **{"show_default": True, **attributes})


@click.command("rivals", cls=Command)
@_option(
    "-w",
    "--workload",
    "workloads",
    type=click.Choice(_WORKLOADS),
    multiple=True,
    default=("noop",),
    help="May be repeated. Processor time, publishing, memory and waits are those of the first.",
)
@_option(
    "--only",
    "only",
    metavar="NAMES",
    help="Systems or projects, with commas between them.  [default: all]",
)
@_option("--tasks", type=click.IntRange(min=1), default=20_000, help="Most calls of one drain.")
@_option("--drain", type=SECONDS, default="3s", help="A system slower than that gets fewer.")
@_option("--rounds", type=click.IntRange(min=1), default=3, help="In each, every system once.")
@_option(
    "--rate",
    type=click.FloatRange(min=0),
    default=100.0,
    help="Calls a second, for waits; 0: none.",
)
@_option("--pace", type=SECONDS, default="3s", help="Publish at this rate for so long.")
@_option("--timeout", type=SECONDS, default="60s", help="A drain that takes longer has failed.")
@_option(
    "--environment",
    type=_FOLDER,
    help="A virtual environment that has the systems and fastworker.  [default: one of its own for each]",
)
@_option(
    "--cache",
    type=_FOLDER,
    help="Keep those there.  [default: fastworker/rivals in ~/.cache or $XDG_CACHE_HOME]",
)
@_option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="An interpreter for systems that do not run on this one; may be repeated.",
)
@_option("--json", "json_file", type=_FILE, help="Write the measurements there.")
@_option("--plot", "plot_file", type=_FILE, help="Draw them there, as SVG.")
@_option("--markdown", "markdown_file", type=_FILE, help="Write the table there.")
@pass_session
def rivals_command(session: Session, /, **given: Any) -> int:
    """Run the same tasks on other task queues, in turns with fastworker, and compare.

    Installs each system in a virtual environment of its own, from lock files of this package. Starts private brokers:
    redis-server has to be on PATH, and PostgreSQL on this machine for the systems that need it. What cannot be run
    here, fails or loses tasks is told.

    Exit status: 0 fastworker was measured, whatever became of the others; 1 it was not.
    """
    from fastworker.bench.errors import BenchError

    try:
        _run(session, given)
    except BenchError as error:
        complain(f"fastworker: {error}")
        return 1
    return 0


def _run(session: Session, given: dict[str, Any]) -> None:
    import json

    from rich.console import Console

    from fastworker.bench.rivals import catalogue, plot, table, workloads
    from fastworker.bench.rivals.environments import (
        Environments,
        GivenEnvironment,
        OwnEnvironments,
        default_cache,
    )
    from fastworker.bench.rivals.run import run
    from fastworker.bench.rivals.settings import RivalsSettings

    def say(text: str) -> None:
        if not session.quiet:
            click.echo(text, err=True)

    names = _WORKLOADS[:-1] if "all" in given["workloads"] else given["workloads"]
    only = [name.strip() for name in (given["only"] or "").split(",") if name.strip()]
    settings = RivalsSettings(
        workloads=workloads.named(names),
        rivals=catalogue.chosen(only),
        tasks=given["tasks"],
        drain_s=given["drain"],
        rounds=given["rounds"],
        rate=given["rate"],
        pace_s=given["pace"],
        timeout_s=given["timeout"],
        command=("fastworker", *session.arguments),
    )
    where: Environments
    if given["environment"] is not None:
        where = GivenEnvironment(given["environment"])
    else:
        where = OwnEnvironments(given["cache"] or default_cache(), say, given["pythons"])
    content = run(settings, where, say)
    files = (
        (given["json_file"], json.dumps(content, indent=1) + "\n"),
        (given["plot_file"], plot.plot(content)),
        (given["markdown_file"], "\n".join(table.markdown(content)) + "\n"),
    )
    for path, text in files:
        if path is not None:
            path.write_text(text)
    table.show(Console(no_color=session.no_color or None), content)
