"""The settings table: every setting of Celery 5.7 and of fastworker, one row each."""

from __future__ import annotations

from fastworker.app.settings_registry.beat import BEAT
from fastworker.app.settings_registry.broker import BROKER
from fastworker.app.settings_registry.database import CACHE, DATABASE
from fastworker.app.settings_registry.differing import BEHAVIOURS, DIFFERING, Behaviour, Difference
from fastworker.app.settings_registry.result import REDIS, RESULT
from fastworker.app.settings_registry.root import ROOT
from fastworker.app.settings_registry.setting import Kind, Setting, Status
from fastworker.app.settings_registry.stores import STORES
from fastworker.app.settings_registry.task import TASK
from fastworker.app.settings_registry.wire import CONTROL, EVENT, SECURITY
from fastworker.app.settings_registry.worker import PUBLISHING, WORKER

REGISTRY: dict[str, Setting] = {
    row.name: row
    for rows in (
        ROOT, BROKER, PUBLISHING, TASK, WORKER, RESULT, REDIS,
        DATABASE, CACHE, BEAT, EVENT, CONTROL, SECURITY, STORES,
    )
    for row in rows
}  # fmt: skip

#: Names of those of result stores that are none of ours.
OTHER_STORES = frozenset(row.name for rows in (DATABASE, CACHE, STORES) for row in rows)

__all__ = [
    "BEHAVIOURS",
    "DIFFERING",
    "OTHER_STORES",
    "REGISTRY",
    "Behaviour",
    "Difference",
    "Kind",
    "Setting",
    "Status",
]
