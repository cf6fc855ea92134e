"""Settings that somebody set in vain: said once, when a worker starts."""

from __future__ import annotations

from collections.abc import Collection

from fastworker.app.settings import Settings
from fastworker.app.settings_check import misspelt
from fastworker.app.settings_registry import REGISTRY


def unacted(settings: Settings, but: Collection[str] = ()) -> list[str]:
    """One line for each setting that has no effect: misspelt ones first, then those that this
    version does not act on.

    A value that equals the default says nothing, because leaving it out would do the same.

    Args:
        settings: All of them.
        but: Names that somebody else acts on.
    """
    changed = (
        REGISTRY[name]
        for name, value in sorted(settings.without_defaults().items())
        if name in REGISTRY
        and name not in but
        and value is not None
        and value != settings.defaults[name]
    )
    return [
        *map(str, misspelt(settings)),
        *(
            _REASONS[row.status].format(name=row.name, why=row.note or _WHY[row.status])
            for row in changed
            if row.status in _REASONS
        ),
    ]


_REASONS = {
    "accepted": "setting {name} is kept, but this version of fastworker does not act on it: {why}",
    "moot": "setting {name} has no effect: {why}",
}
_WHY = {
    "accepted": "not yet",
    "moot": "it tunes a part of Celery that fastworker does not have",
}
