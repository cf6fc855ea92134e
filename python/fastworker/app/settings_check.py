"""Are the settings that somebody set usable? Asked once, when an application's worker starts.

Everything that is wrong is said at once, each with the name as the user spelled it. Values that
come from the table are not looked at. Names that are in no table are kept (third parties read
them), but one that is nearly a real one is named: it is a typing error more often than not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastworker.app.nearest import nearest
from fastworker.app.settings import Settings
from fastworker.app.settings_keys import canonical
from fastworker.app.settings_registry import REGISTRY, Setting
from fastworker.app.settings_values import SPECIAL, is_a, what_is
from fastworker.errors import ImproperlyConfigured


@dataclass(frozen=True)
class Misspelt:
    """A setting that is in no table, and the real one that its name is nearly."""

    name: str
    meant: str

    def __str__(self) -> str:
        return (
            f"setting {self.name!r} is not one that fastworker knows; did you mean {self.meant!r}?"
        )


def check(settings: Settings) -> None:
    """Check every setting that somebody set.

    Raises:
        ImproperlyConfigured: At least one cannot be used; the text has a line for each.
    """
    spelled = _spellings(settings)
    problems = [
        f"setting {spelled.get(name, name)} is {settings.table()[name]!r}: expected {expected}"
        for name, value in settings.without_defaults().items()
        if name in REGISTRY and (expected := expectation(REGISTRY[name], value)) is not None
    ]
    if problems:
        raise ImproperlyConfigured("\n".join(problems))


def expectation(row: Setting, value: Any) -> str | None:
    """What was expected instead of ``value``, in words; None when it is fine, as None always is."""
    if value is None:
        return None
    special = SPECIAL.get(row.name)
    if special is not None:
        return special(value)
    if not is_a(row.kind, value):
        return _try(row, f"{what_is(row.kind)}, not {type(value).__name__}")
    if row.choices and value not in row.choices:
        return "one of " + ", ".join(repr(choice) for choice in row.choices)
    return _out_of_range(row, value)


def misspelt(settings: Settings) -> list[Misspelt]:
    """The settings that are in no table but nearly in ours, in the order of their names."""
    found = []
    for name in sorted(settings.without_defaults()):
        if name in REGISTRY or name.startswith("_"):
            continue
        if settings.namespace and name.isupper():  # the rest of a Django settings module
            continue
        meant = nearest(name, REGISTRY)
        if meant is not None:
            found.append(Misspelt(_spellings(settings).get(name, name), meant))
    return found


def _out_of_range(row: Setting, value: Any) -> str | None:
    number = value.total_seconds() if hasattr(value, "total_seconds") else value
    if row.low is not None and number < row.low:
        return f"at least {row.low:g}"
    if row.high is not None and number > row.high:
        return f"at most {row.high:g}"
    return None


def _try(row: Setting, text: str) -> str:
    return text if row.default in (None, (), {}) else f"{text}; try {row.default!r}"


def _spellings(settings: Settings) -> dict[str, str]:
    prefix = f"{settings.namespace}_" if settings.namespace else ""
    return {canonical(name, prefix): name for name in sorted(settings.names_as_spelled)}
