"""``fastworker dead``, with dead letters from a list."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastworker.app.publishing import Publishing

Run = Callable[..., tuple[int, str, str]]


class Letters:
    """A broker's dead letters."""

    def __init__(self) -> None:
        self.kept = [self._letter("aaaa-1", b'{"x": 1}'), self._letter("aabb-2", b"\xff\x00")]
        self.retried: list[str] = []

    @staticmethod
    def _letter(id: str, message: bytes) -> dict[str, Any]:
        return {
            "id": id,
            "queue": "celery",
            "task": "proj.add",
            "reason": "unknown task",
            "detail": "not registered",
            "died_ms": 1_700_000_000_000,
            "priority": 0,
            "message": message,
        }

    def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        return self.kept[:limit]

    def dead_letter(self, id: str) -> dict[str, Any] | None:
        found = [letter for letter in self.kept if letter["id"].startswith(id)]
        return found[0] if len(found) == 1 else None

    def retry_dead_letter(self, id: str) -> bool:
        self.retried.append(id)
        return self.purge_dead_letters(id) == 1

    def purge_dead_letters(self, id: str | None = None) -> int:
        gone = [letter for letter in self.kept if id in (None, letter["id"])]
        self.kept = [letter for letter in self.kept if letter not in gone]
        return len(gone)


@pytest.fixture
def letters(project: Path, monkeypatch: pytest.MonkeyPatch) -> Letters:
    (project / "fwt_tasks.py").write_text(
        "from fastworker import FastWorker\napp = FastWorker('proj', set_as_current=False)\n"
    )
    kept = Letters()
    monkeypatch.setattr(Publishing, "publisher", property(lambda _: kept))
    return kept


@pytest.fixture
def dead(fastworker: Run, letters: Letters) -> Run:
    return lambda *arguments: fastworker("-A", "fwt_tasks", "dead", *arguments)


def test_list_has_a_line_for_each(dead: Run) -> None:
    status, out, _ = dead("list")
    assert status == 0
    first, second = out.splitlines()
    assert (
        first == "aaaa-1  2023-11-14 22:13:20+00:00  celery  proj.add  unknown task: not registered"
    )
    assert second.startswith("aabb-2")


def test_list_as_json_keeps_bytes_that_are_no_text(dead: Run) -> None:
    rows = [json.loads(line) for line in dead("list", "--json")[1].splitlines()]
    assert rows[0]["message"] == '{"x": 1}'
    assert rows[1]["message_base64"] == "/wA="


def test_show_takes_a_unique_beginning(dead: Run) -> None:
    out = dead("show", "aab")[1]
    assert "aabb-2" in out
    assert "not UTF-8" in out


@pytest.mark.parametrize("id", ["aa", "zz"])
def test_an_ambiguous_or_unknown_id_is_an_error(dead: Run, id: str) -> None:
    status, _, err = dead("show", id)
    assert status == 1
    assert f"no dead letter {id!r}, or several" in err


def test_retry_publishes_again(dead: Run, letters: Letters) -> None:
    assert dead("retry", "aaaa")[:2] == (0, "Published 1 of 1 again.\n")
    assert letters.retried == ["aaaa-1"]


def test_retry_all(dead: Run, letters: Letters) -> None:
    dead("retry", "--all")
    assert (letters.retried, letters.kept) == (["aaaa-1", "aabb-2"], [])


def test_retry_of_nothing_is_a_usage_error(dead: Run) -> None:
    assert dead("retry")[0] == 2


def test_purge_of_one_asks_nothing(dead: Run, letters: Letters) -> None:
    assert dead("purge", "aaaa-1")[0] == 0
    assert [letter["id"] for letter in letters.kept] == ["aabb-2"]


def test_purge_of_all_needs_a_yes(
    dead: Run, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert dead("purge")[0] == 130
    assert len(letters.kept) == 2
    assert dead("purge", "--yes")[0] == 0
    assert letters.kept == []
