"""A number that says where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Origin(Enum):
    """Where a number comes from."""

    MEASURED = "measured"
    """By a bench, or in a running fleet."""
    GIVEN = "given"
    """Said in the plan file or by an option."""
    ASSUMED = "assumed"
    """Nobody said it; the note says why this value."""
    COMPUTED = "computed"
    """From the others."""


@dataclass(frozen=True)
class Measured:
    """A value that stands in a plan's document in place of one that somebody gave.

    Attributes:
        value: In the unit of its key, without prefixes: seconds, bytes, a share.
        note: Which file, or how many nodes; and how, where that is not plain.
    """

    value: float
    note: str


@dataclass(frozen=True)
class Figure:
    """One number of a plan.

    Attributes:
        name: What it is, for people.
        value: The number.
        unit: ``s``, ``/s``, ``bytes``, …; "" for counts and shares.
        origin: Where it comes from.
        note: Which file, which formula, or why it is assumed.
    """

    name: str
    value: float
    unit: str
    origin: Origin
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "origin": self.origin.value,
            "note": self.note,
        }
