"""Which modules define tasks, and importing them: what a worker does before it starts."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastworker.signals import import_modules

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def import_task_modules(app: FastWorker, include: Iterable[str] = ()) -> None:
    """Import what ``imports``, ``include`` and ``--include`` name, then what ``autodiscover_tasks``
    finds.

    Args:
        app: The application.
        include: More modules.

    Raises:
        Whatever the modules raise; the first error ends it.
    """
    conf = app.conf
    for name in dict.fromkeys((*_names(conf.imports), *_names(conf.include), *include)):
        importlib.import_module(name)
    for _, outcome in import_modules.send(sender=app):
        # Signals swallow what receivers raise, which would leave a worker without its tasks.
        if isinstance(outcome, Exception):
            raise outcome


def _names(setting: Any) -> tuple[str, ...]:
    return (setting,) if isinstance(setting, str) else tuple(setting or ())
