"""One row of the settings table, and how rows that share a prefix are written down.

The table is the single place that knows a setting: its name, what it may hold, what it is when
nobody sets it, what Celery called it before version 4, and whether fastworker acts on it.
Everything else (lookup, old names, validation, masking, the notice at worker start, the reference
page) is derived from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["any", "bool", "bytes", "dict", "float", "int", "list", "seconds", "str"]
"""What a value may be. ``seconds``: a number or a ``timedelta``; ``any``: its reader checks it."""

Status = Literal["active", "differs", "accepted", "moot"]
"""``active``: fastworker acts on it. ``differs``: it does, and not quite as Celery; the note says how. ``accepted``:
kept, not acted upon yet, and said so once when a worker starts. ``moot``: it tunes machinery that fastworker does not
have, so there will never be anything to act on."""


@dataclass(frozen=True)
class Setting:
    """A setting, as the table has it.

    Attributes:
        name: Lower-case name, as in ``app.conf.<name>``.
        default: Value when nobody sets it. None: unset.
        kind: What it may hold; None is always allowed and means unset.
        doc: One line for the reference page.
        old: Celery's names before version 4, upper-case; the first one is used to suggest a rename.
        status: Whether fastworker acts on it.
        low: Smallest allowed number, inclusive.
        high: Largest allowed number, inclusive.
        choices: The only allowed values, when not empty.
        is_secret: Its value is masked wherever it is shown.
        is_ours: Celery has no such setting.
        note: Of one that differs: how. Of one that is not acted on: why.
    """

    name: str
    default: Any
    kind: Kind
    doc: str
    old: tuple[str, ...] = ()
    status: Status = "accepted"
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    is_secret: bool = False
    is_ours: bool = False
    note: str = ""


def group(
    prefix: str, old_prefix: str, settings: Iterable[Setting], note: str = ""
) -> tuple[Setting, ...]:
    """Give each setting its prefix, and its old name where it does not bring one.

    Args:
        prefix: Such as ``"worker"``; empty for settings without one.
        old_prefix: What stood before the short name in Celery 3, such as ``"CELERYD_"``.
        settings: Rows with short names.
        note: Of those that have none of their own and are not acted on.
    """
    lead = f"{prefix}_" if prefix else ""
    return tuple(
        replace(
            row,
            name=lead + row.name,
            old=_old_names(row, old_prefix),
            note=row.note or (note if row.status == "accepted" else ""),
        )
        for row in settings
    )


def _old_names(row: Setting, old_prefix: str) -> tuple[str, ...]:
    if row.is_ours:
        return ()
    return row.old or (old_prefix + row.name.upper(),)
