"""``app.user_options["preload"]``: options that an application adds to every command.

Their values go to the signal ``user_preload_options``, before the command begins. Source: celery/bin/base.py.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fastworker import signals

if TYPE_CHECKING:
    from fastworker.cli.session import Session

#: Commands that start others, each of which is given the options again.
_WITHOUT_APP = ("multi",)


C = TypeVar("C", bound=click.Command)


def with_preload(command: C, session: Session) -> C:
    """``command`` with the options of the application that the command line names; itself if there are none.

    An application that cannot be found or imported adds none: the command says what is wrong with it.
    """
    if command.name in _WITHOUT_APP or not (session.spec or session.given):
        return command
    try:
        app = session.app
        options: Sequence[click.Option] = sorted(
            app.user_options.get("preload", ()), key=lambda option: option.name or ""
        )
    except Exception:
        return command
    if not options or command.callback is None:
        return command
    extended = copy.copy(command)
    extended.params = [*command.params, *options]
    extended.callback = _telling(app, command.callback, options)
    return extended


def _telling(
    app: Any, callback: Callable[..., Any], options: Sequence[click.Option]
) -> Callable[..., Any]:
    names = [option.name for option in options if option.name]
    parameters = inspect.signature(callback).parameters

    @wraps(callback)
    def tell(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs[name] for name in names if name in kwargs}
        signals.user_preload_options.send(sender=callback, app=app, options=given)
        own = {name: value for name, value in kwargs.items() if name not in given}
        # A command that has an argument of that name gets it, as in Celery.
        own.update({name: value for name, value in given.items() if name in parameters})
        return callback(*args, **own)

    return tell
