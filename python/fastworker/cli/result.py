"""``fastworker result``: print a stored result."""

from __future__ import annotations

import json

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session


@click.command(cls=Command)
@click.argument("task_id")
@click.option(
    "-t", "--task", cls=Option, help="The task's name, when it stores results in a way of its own."
)
@click.option("--traceback", is_flag=True, help="Print the traceback instead.")
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def result(session: Session, task_id: str, task: str | None, traceback: bool, as_json: bool) -> int:
    """Print the result of the task TASK_ID; a task that has not ended is waited for."""
    app = session.app
    owner = app.AsyncResult
    if task is not None:
        registered = app.registered_task(task) or app.tasks.get(task)
        if registered is None:
            from fastworker.app.nearest import did_you_mean

            raise click.BadParameter(
                f"no task {task!r} in this application{did_you_mean(task, app.tasks)}",
                param_hint="--task",
            )
        owner = registered.AsyncResult
    found = owner(task_id)
    value = found.traceback if traceback else found.get(propagate=False)
    if as_json:
        shown = {"task_id": found.id, "state": found.state, "traceback": found.traceback}
        if not traceback:
            shown["result"] = value
        click.echo(json.dumps(shown, default=repr))
        return 0
    click.echo("" if value is None and traceback else value)
    return 0
