"""``--statedb``: what was revoked outlives a worker; what is no state file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.statedb import StateFile


def test_saved_state_is_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    file = StateFile.load(path)
    file.add(["c", "a"], 9)
    file.add(["b", "a"], 2)
    file.save(7)
    found = StateFile.load(path)
    assert (found.revoked, found.clock) == (["b", "a"], 7)
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_absent_and_empty_files_remember_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert StateFile.load(str(path)).revoked == []
    path.touch()
    assert StateFile.load(str(path)).revoked == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x13\x57\x9a\xce shelve", "not a state file"),
        (b"[]", "not a state file"),
        (
            json.dumps({"format": "x", "version": 1, "clock": 0, "revoked": []}).encode(),
            "format 'x'",
        ),
        (
            json.dumps(
                {"format": "fastworker state", "version": 9, "clock": 0, "revoked": []}
            ).encode(),
            "version 9",
        ),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=words):
        StateFile.load(str(path))
    assert path.read_bytes() == content


def test_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be"):
        StateFile.load(str(tmp_path / "no such directory" / "state"))
