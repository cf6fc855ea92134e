"""``fastworker shell``: a Python prompt with the application and its tasks."""

from __future__ import annotations

import code
import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

Names = dict[str, Any]
_SYMBOLS = (
    "Task", "chain", "chord", "chunks", "group", "signature", "subtask", "xmap", "xstarmap",
)  # fmt: skip


@click.command(cls=Command)
@click.option("-I", "--ipython", is_flag=True, cls=Option, help="Use IPython.")
@click.option("-B", "--bpython", is_flag=True, cls=Option, help="Use bpython.")
@click.option("--python", is_flag=True, cls=Option, help="Use Python's own prompt.")
@click.option("-T", "--without-tasks", is_flag=True, cls=Option, help="Leave the tasks out.")
@click.option("--eventlet", is_flag=True, cls=Option, help="Replace the sockets with eventlet's.")
@click.option("--gevent", is_flag=True, cls=Option, help="Replace the sockets with gevent's.")
@pass_session
def shell(
    session: Session,
    ipython: bool,
    bpython: bool,
    python: bool,
    without_tasks: bool,
    eventlet: bool,
    gevent: bool,
) -> int:
    """Start a Python prompt with app (also as celery), the canvas and all tasks by their names.

    IPython if it is installed, else bpython, else Python's own.
    """
    from fastworker import greenlets

    for name, is_wanted in (("eventlet", eventlet), ("gevent", gevent)):
        if is_wanted:
            greenlets.of(name).patch()
    wanted = [("IPython", ipython), ("bpython", bpython), ("python", python)]
    prompt = next((kind for kind, is_wanted in wanted if is_wanted), None)
    _prompt(prompt)(names_for(session.app, not without_tasks))
    return 0


def names_for(app: FastWorker, with_tasks: bool) -> Names:
    """What the prompt knows.

    Args:
        app: The application; of one of Celery's, what Celery's own shell knows.
        with_tasks: The tasks too, by the names of their functions.
    """
    app.import_task_modules()
    theirs = getattr(app, "celery", None)
    library = importlib.import_module("fastworker" if theirs is None else "celery")
    shown = app if theirs is None else theirs
    names: Names = {"app": shown, "celery": shown}
    names.update((symbol, getattr(library, symbol)) for symbol in _SYMBOLS)
    if with_tasks:
        names.update(
            (task.__name__, task)
            for task in shown.tasks.values()
            if not task.name.startswith("celery.")
        )
    return names


def _prompt(kind: str | None) -> Callable[[Names], None]:
    kinds: dict[str, Callable[[Names], None]] = {
        "IPython": lambda names: importlib.import_module("IPython").start_ipython(
            argv=[], user_ns=names
        ),
        "bpython": lambda names: importlib.import_module("bpython").embed(names),
        "python": _python,
    }
    for name in ("IPython", "bpython") if kind is None else (kind,):
        if name == "python" or find_spec(name) is not None:
            return kinds[name]
        if kind is not None:
            raise click.UsageError(
                f"--{name.lower()}: the package {name} is not installed here; try: pip install {name.lower()}"
            )
    return _python


def _python(names: Names) -> None:
    if find_spec("readline") is not None:
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab:complete")
    code.interact(local=names)
