"""What follows a chord whose members have ended: its body; of a block of a reduction, one more member of the block
above, or what the last value goes to (``canvas/reduction.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastworker.canvas.chord_errors import without_policy
from fastworker.canvas.reduction import OPTION, Fold, body_of


@dataclass(frozen=True)
class Following:
    """
    Attributes:
        body: The signature to publish, as plain data.
        above: Of a block: the block that ``body`` becomes a member of.
        place: Its place there.
        is_last: ``body`` gets the only result, and not the list of all.
        level: Of a block: its level, else None.
    """

    body: dict[str, Any]
    above: dict[str, Any] | None = None
    group_id: str | None = None
    place: int | None = None
    is_last: bool = False
    level: int | None = None

    def options(self) -> dict[str, Any]:
        """Options of ``apply_async`` that put ``body`` in its place."""
        if self.above is None:
            return {}
        return {"chord": self.above, "group_id": self.group_id, "group_index": self.place}


def following(body: Mapping[str, Any], size: int) -> Following:
    """What follows.

    Args:
        body: From the record of the join.
        size: How many members ended.
    """
    plain = without_policy(body)
    fold = plain["options"].pop(OPTION, None)
    if not isinstance(fold, Fold):
        return Following(plain)
    if fold.is_last(size):
        return Following(fold.final, is_last=True, level=fold.level)
    above = fold.above
    return Following(
        plain, body_of(plain, above), above.group_id, fold.place_above, level=fold.level
    )
