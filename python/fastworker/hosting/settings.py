"""The settings of a Celery application, as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.app.settings_registry import BEHAVIOURS, DIFFERING, REGISTRY

if TYPE_CHECKING:
    from celery import Celery

#: What Celery does where it says nothing, and we have a setting for it. The others of ``BEHAVIOURS`` are about how a
#: worker works, not about what becomes of a task.
_AS_IN_CELERY = ("task_reject_on_worker_lost",)
#: What Celery's own code in our children could not read.
_NOT_FOR_CELERY = ("task_by_reference", "task_chord_errors")
#: Where Celery looks for a broker when it is told of none.
_BROKER = "amqp://guest:guest@localhost:5672//"
_UNSAID: Any = object()


def settings_of(celery: Celery) -> dict[str, Any]:
    """What ``celery.conf`` says, by our names: all that somebody has set, and Celery's defaults where ours differ.

    A setting of ours that Celery does not know may be set in the same place.
    """
    conf, defaults = celery.conf, _defaults()
    # One by one: Celery keeps the names that the user wrote, and finds a setting by any of them.
    names = [name for name in REGISTRY if name not in _NOT_FOR_CELERY]
    said = {name: conf[name] for name in names if conf.get(name, _UNSAID) is not _UNSAID}
    found = {
        name: value
        for name, value in said.items()
        if name not in defaults or value != defaults[name]
    }
    for name, difference in DIFFERING.items():
        found.setdefault(name, said.get(name, difference.celery))
    if not found.get("broker_url"):
        found["broker_url"] = _BROKER
    for name in _AS_IN_CELERY:
        found.setdefault(name, BEHAVIOURS[name].restore)
    return found


def _defaults() -> dict[str, Any]:
    from celery.app import defaults

    return dict(defaults.DEFAULTS)
