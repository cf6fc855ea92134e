"""``fastworker plan``: how many workers to buy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session

if TYPE_CHECKING:
    from fastworker.plan.planner import Plan


@click.command(cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--task", cls=Option, default="tasks", help="Without a file: the class's name.")
@click.option("--rate", cls=Option, metavar="N", help="Without a file: arrivals a second.")
@click.option(
    "--service",
    cls=Option,
    metavar="SECONDS|FILE",
    help="Without a file: a mean service time (exponential), a bench's JSON, or times one a line.",
)
@click.option("--cpu-share", cls=Option, help="Without a file: the share of it that computes.")
@click.option(
    "--live",
    cls=Option,
    is_flag=True,
    help="Take arrivals and times of its tasks from the running fleet (-A), since its workers started.",
)
@click.option(
    "--watch",
    cls=Option,
    metavar="TIME",
    help="With --live: only what comes within so long from now, such as 60s.",
)
@click.option(
    "--target",
    "targets",
    cls=Option,
    multiple=True,
    metavar="TEXT",
    help='Instead of the file\'s: "p95 wait <= 2s", "drain 40M by 2026-12-01T08:00". May be repeated.',
)
@click.option("--slots", cls=Option, metavar="N", help="Instead of the file's: slots of a node.")
@click.option("--cores", cls=Option, metavar="N", help="Instead of the file's: cores of a node.")
@click.option(
    "--despite-faults",
    cls=Option,
    is_flag=True,
    help="Take a bench's file that calls itself not valid, and warn.",
)
@click.option("--seed", cls=Option, default=1, show_default=True, help="Of the simulation.")
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    cls=Option,
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write one HTML file with charts, too.",
)
@click.option("--keda", cls=Option, is_flag=True, help="Print KEDA's ScaledObject only.")
@pass_session
def plan(
    session: Session,
    file: Path | None,
    task: str,
    rate: str | None,
    service: str | None,
    cpu_share: str | None,
    live: bool,
    watch: str | None,
    targets: tuple[str, ...],
    slots: str | None,
    cores: str | None,
    despite_faults: bool,
    seed: int,
    as_json: bool,
    html: Path | None,
    keda: bool,
) -> int:
    """Plan slots, nodes and brokers for a load and a target.

    FILE is a plan in TOML or JSON; docs/guides/capacity.md has every key. Without one, --rate and
    --service say the least there is to say.
    """
    from fastworker.plan import plan_file, planner

    say = _progress(session, as_json or keda)
    if file is not None and (rate or service):
        raise click.UsageError(
            "--rate and --service stand in for a plan file; give one or the other"
        )
    document = {} if file is None else plan_file.load(file)
    warnings: Sequence[str] = ()
    if watch is not None and not live:
        raise click.UsageError("--watch says for how long --live looks; give both")
    if live:
        from fastworker.plan.live import ask, completed
        from fastworker.plan.quantities import duration_s

        watch_s = None if watch is None else duration_s(watch, "--watch")
        fleet = ask(session.app, watch_s, say)
        document, warnings = completed(document, fleet), fleet.warnings
    elif file is None:
        if not rate or not service:
            raise click.UsageError(
                "expected a plan file, --live, or --rate and --service, such as: "
                "fastworker plan --rate 50 --service 0.2"
            )
        share = {} if cpu_share is None else {"cpu_share": cpu_share}
        document["class"] = [{"task": task, "rate": rate, "service": _service(service), **share}]
    if targets:
        document["target"] = list(targets)
    node = {name: value for name, value in (("slots", slots), ("cores", cores)) if value}
    if node:
        document["node"] = {**document.get("node", {}), **node}
    folder = Path() if file is None else file.parent
    inputs = plan_file.read(document, folder, despite_faults=despite_faults, warnings=warnings)
    made = planner.make(inputs, seed, say)
    if html is not None:
        from fastworker.plan.report_html import page

        html.write_text(page(made))
    _print(session, made, as_json, keda)
    return 0


def _service(text: str) -> Any:
    """A number stands for a mean; a file is a bench's if it ends in ``.json``."""
    if not Path(text).exists():
        return text
    return {"bench": text} if text.endswith(".json") else {"samples": text}


def _progress(session: Session, is_silent: bool) -> Any:
    """Where to say what is being done: on a terminal only, and not in what is printed."""
    if session.quiet or is_silent or not sys.stderr.isatty():
        return lambda _text: None
    return lambda text: click.echo(f"{text} …", err=True)


def _print(session: Session, made: Plan, as_json: bool, keda: bool) -> None:
    if keda:
        click.echo(made.keda, nl=False)
        return
    if as_json:
        import json

        from fastworker.plan.report_json import document

        click.echo(json.dumps(document(made), indent=1))
        return
    from rich.console import Console

    from fastworker.plan.report_text import show

    show(made, Console(no_color=session.no_color, highlight=False))
