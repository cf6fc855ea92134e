"""The nearest real name to a misspelt one, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# Below this difflib ratio a suggestion is more often wrong than right ("foo" for "food").
_CLOSE = 0.75


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like ``name``, None when none is close; case and dashes do not count."""
    plain = {_plain(known): known for known in names}
    found = get_close_matches(_plain(name), plain, n=1, cutoff=_CLOSE)
    return plain[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` to be put after a message, or nothing."""
    found = nearest(name, names)
    return f"; did you mean {found!r}?" if found else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
