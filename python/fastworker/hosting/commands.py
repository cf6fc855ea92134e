"""Control commands that a Celery application brings along: ``celery.worker.control.Panel`` has them beside Celery's
own, which our worker answers by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker.worker.consumer import Consumer
from fastworker.worker.panel import CommandInfo, Panel, State

if TYPE_CHECKING:
    from celery import Celery

_HOME = "celery.worker.control"
#: An alias is not shown.
_ALIAS = (None, "", False, 1.0, "", None, None, None)


@dataclass(frozen=True)
class CeleryState:
    """What a command of Celery's is given first.

    Attributes:
        app: The Celery application.
        hostname: The node's name.
        consumer: Of Celery's consumer what commands use.
        tset: Makes a set of requests.
    """

    app: Celery
    hostname: str
    consumer: Consumer
    tset: Callable[..., set[Any]] = set


def commands() -> Mapping[str, tuple[Callable[..., Any], CommandInfo]]:
    """The commands of applications, by name and alias; also those that replace one of Celery's."""
    # Who has commands has imported it; for nobody else it is.
    control = sys.modules.get(_HOME)
    if control is None:
        return {}
    panel = control.Panel
    return {
        name: (_hosted(command), CommandInfo(*panel.meta.get(name, _ALIAS)))
        for name, command in panel.data.items()
        if command.__module__ != _HOME
    }


def offer_commands() -> None:
    """From now on our worker and command line know them."""
    if commands not in Panel.more:
        Panel.more.append(commands)


def _hosted(command: Callable[..., Any]) -> Callable[..., Any]:
    def called(state: State, **arguments: Any) -> Any:
        celery = getattr(state.app, "celery", state.app)
        consumer = Consumer(state, celery)
        return command(CeleryState(celery, state.hostname, consumer, state.tset), **arguments)

    return called
