"""One table of a plan file: every value is read once, checked, and noted with where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured
from fastworker.plan.figure import Figure, Measured, Origin

#: Reads a value, and is told where it stands.
Parser = Callable[[Any, str], float]


class TableReader:
    """A table.

    Args:
        values: What is in it.
        where: Its place, such as ``node`` or ``class[1]``.
        figures: Where what was read is noted.

    Raises:
        ImproperlyConfigured: It is no table.
    """

    def __init__(self, values: Any, where: str, figures: list[Figure]) -> None:
        if not isinstance(values, Mapping):
            raise ImproperlyConfigured(f"{where}: {values!r}: expected a table")
        self._values = dict(values)
        self._figures = figures
        self._known: set[str] = set()
        self.where = where

    def number(
        self, name: str, parse: Parser, unit: str, default: float | None = None, why: str = ""
    ) -> float:
        """A number that is given, measured or assumed.

        Raises:
            ImproperlyConfigured: It cannot be read, or is not there and has no default.
        """
        self._known.add(name)
        place = f"{self.where}.{name}" if self.where else name
        given = self._values.get(name)
        if isinstance(given, Measured):
            value, origin, note = given.value, Origin.MEASURED, given.note
        elif name in self._values:
            value, origin, note = parse(given, place), Origin.GIVEN, ""
        elif default is None:
            raise ImproperlyConfigured(f"{self.where}: {name} is missing")
        else:
            value, origin, note = default, Origin.ASSUMED, why
        self._figures.append(Figure(place, value, unit, origin, note))
        return value

    def fill(self, figures: Mapping[str, Measured]) -> None:
        """Have numbers that are not given taken for what was measured."""
        for name, figure in figures.items():
            self._values.setdefault(name, figure)

    def note(self, name: str, value: float, unit: str, origin: Origin, note: str) -> None:
        """Note a number that was read elsewhere."""
        self._figures.append(Figure(f"{self.where}.{name}", value, unit, origin, note))

    def part(self, values: Any, name: str) -> TableReader:
        """A table within this one."""
        return TableReader(values, f"{self.where}.{name}", self._figures)

    def take(self, name: str, default: Any = None) -> Any:
        """A value as it stands."""
        self._known.add(name)
        return self._values.get(name, default)

    def end(self) -> None:
        """Nothing else may be in it.

        Raises:
            ImproperlyConfigured: A name that is not known.
        """
        for name in self._values:
            if name not in self._known:
                place = self.where or "plan"
                hint = did_you_mean(name, self._known)
                raise ImproperlyConfigured(
                    f"{place}: {name!r} is not known there{hint or '; expected ' + ', '.join(sorted(self._known))}"
                )
