"""``fastworker parked``: tasks that the broker keeps until they are due."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import click

from fastworker.app.parked import ParkedTask
from fastworker.cli.group import Command, CommandGroup, Option
from fastworker.cli.session import Session, pass_session


@click.group(cls=CommandGroup)
def parked() -> None:
    """Look at tasks with a far ETA, cancel them, or make them due.

    Workers do not hold what is due later than worker_eta_horizon: it is parked in the broker.
    """


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--task",
            cls=Option,
            metavar="NAME",
            help="Only tasks of this name; *, ? and [...] as in file names.",
        ),
        click.option("-Q", "--queue", cls=Option, metavar="NAME", help="Only this queue."),
    ):
        command = option(command)
    return command


@parked.command("list", cls=Command)
@_filters
@click.option(
    "-n",
    "--limit",
    cls=Option,
    type=click.IntRange(0),
    default=50,
    help="So many at most; 0: all of them.",
)
@click.option("--after", cls=Option, metavar="CURSOR", help="Go on where an earlier list ended.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_session
def list_(
    session: Session,
    queue: str | None,
    task: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> int:
    """List parked tasks, those that are due first before others."""
    found = session.app.parked.tasks(queue=queue, task=task, after=after)
    last = None
    for last in islice(found, limit or None):
        click.echo(json.dumps(_jsonable(last), ensure_ascii=False) if as_json else _row(last))
    if as_json:
        return 0
    if last is None:
        session.say("No parked tasks.")
    elif limit and next(found, None) is not None:
        session.say(f"There are more; go on with --after {last.cursor}")
    return 0


@parked.command(cls=Command)
@click.argument("ids", nargs=-1)
@_filters
@click.option("--all", "is_all", is_flag=True, help="All parked tasks.")
@click.option("-y", "--yes", "-f", "--force", is_flag=True, help="Do not ask.")
@pass_session
def cancel(
    session: Session,
    ids: tuple[str, ...],
    queue: str | None,
    task: str | None,
    is_all: bool,
    yes: bool,
) -> int:
    """Take out the parked tasks IDS, or all of a queue or task name: they will not run.

    REVOKED is stored for them. There is no undo.
    """
    words = _chosen(ids, queue, task, is_all)
    if not ids and not yes:
        click.confirm(f"Cancel all parked tasks{words}?", abort=True)
    chosen = {"queue": queue, "task": "*" if is_all else task}
    count = session.app.parked.cancel(*ids, **({} if ids else chosen))
    return _told(session, "Cancelled", ids, count)


@parked.command(cls=Command)
@click.argument("ids", nargs=-1)
@_filters
@click.option("--all", "is_all", is_flag=True, help="All parked tasks.")
@pass_session
def release(
    session: Session, ids: tuple[str, ...], queue: str | None, task: str | None, is_all: bool
) -> int:
    """Make the parked tasks IDS, or all of a queue or task name, due now.

    They go to the front of their queues, and their ETA is forgotten.
    """
    _chosen(ids, queue, task, is_all)
    chosen = {"queue": queue, "task": "*" if is_all else task}
    count = session.app.parked.release(*ids, **({} if ids else chosen))
    return _told(session, "Released", ids, count)


# -------------------------------------------------------------------------------------------- parts


def _chosen(ids: tuple[str, ...], queue: str | None, task: str | None, is_all: bool) -> str:
    """The choice in words; refuses none, and several."""
    is_filtered = queue is not None or task is not None
    if bool(ids) + is_filtered + is_all != 1:
        raise click.UsageError(
            "say which: ids as 'parked list' shows them, or --queue and --task, or --all"
        )
    of_queue = f" of queue {queue!r}" if queue is not None else ""
    return of_queue + (f" of task {task!r}" if task is not None else "")


def _told(session: Session, verb: str, ids: tuple[str, ...], count: int) -> int:
    asked = set(ids)
    session.say(f"{verb} {count} parked task{'' if count == 1 else 's'}.")
    if count < len(asked):
        session.say(f"{len(asked) - count} of {len(asked)} ids were not parked, or not any more.")
        return 1
    return 0


def _row(task: ParkedTask) -> str:
    eta = task.eta.isoformat(sep=" ", timespec="seconds")
    return f"{task.id}  {eta}  {task.queue}  {task.task or '(no task)'}  priority {task.priority}"


def _jsonable(task: ParkedTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "task": task.task,
        "queue": task.queue,
        "eta": task.eta.isoformat(),
        "priority": task.priority,
        "cursor": task.cursor,
    }
