"""References are followed while what they name is being renamed."""

from __future__ import annotations

from typing import Any

import pytest

from fastworker.errors import MissingReferenceError
from fastworker.results import references
from fastworker.results.references import ResultsReference


class Renaming:
    """A store that renames parts before its ``at``-th answer; the part of a backend that references ask."""

    def __init__(self, at: int, parts: int) -> None:
        self.store = self
        self._at = at
        self._parts = [f"part {number}".encode() for number in range(parts)]
        self._asked = 0

    def kept(self, name: str, first: int, count: int, ttl_s: int | None) -> list[bytes]:
        self._asked += 1
        is_there = name == ("g~fw:token" if self._asked >= self._at else "g")
        return self._parts[first : first + count] if is_there else []

    def decode_part(self, doc: bytes) -> tuple[str, str, Any]:
        return "id", "SUCCESS", doc


@pytest.mark.parametrize("at", range(1, 9))
def test_parts_are_found_under_their_old_name_and_their_new_one(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "PAGE", 2)
    store: Any = Renaming(at, 5)
    found = ResultsReference("g~fw:token", 5).values(store)
    assert found == [f"part {number}".encode() for number in range(5)]


def test_what_is_not_all_there_is_missing() -> None:
    store: Any = Renaming(1, 4)
    with pytest.raises(MissingReferenceError, match="'g~fw:token' is not in the result store"):
        ResultsReference("g~fw:token", 5).values(store)
