"""Python files that are looked at again and again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastworker.cli import polling


def touched_within_a_second(module: Path) -> None:
    os.utime(module, ns=(100_000_000_000, 100_000_000_001))


def grown_at_the_same_time(module: Path) -> None:
    module.write_text("22")
    os.utime(module, (100, 100))


def replaced_by_one_of_the_same_size_and_time(module: Path) -> None:
    fresh = module.with_suffix(".fresh")
    fresh.write_text("2")
    os.utime(fresh, (100, 100))
    fresh.rename(module)


def joined_by_another(module: Path) -> None:
    package = module.parent / "package"
    package.mkdir()
    (package / "new.py").write_text("")


def removed(module: Path) -> None:
    module.unlink()


CHANGES: list[Callable[[Path], None]] = [
    touched_within_a_second,
    grown_at_the_same_time,
    replaced_by_one_of_the_same_size_and_time,
    joined_by_another,
    removed,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_kind_of_change_is_one(tmp_path: Path, change: Callable[[Path], None]) -> None:
    module = tmp_path / "mod.py"
    module.write_text("1")
    os.utime(module, (100, 100))
    before = polling.look([str(tmp_path)])
    change(module)
    assert polling.look([str(tmp_path)]) != before


def test_what_is_no_python_or_is_left_out_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text("1")
    before = polling.look([str(tmp_path)])
    (tmp_path / "notes.txt").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "mod.py").write_text("1")
    assert polling.look([str(tmp_path)]) == before


def test_a_change_is_told_once_and_the_end_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    looks: list[Any] = [{"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, {"a": 3}]

    def look(_directories: Any) -> Any:
        if len(looks) == 1:
            is_over.set()
        return looks.pop(0)

    monkeypatch.setattr(polling, "look", look)
    monkeypatch.setattr(polling, "_PAUSE_S", 0.0)
    assert len(list(polling.poll(["."], is_over))) == 2
