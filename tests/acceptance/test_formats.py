"""What is stored carries a version: a newer format is worked on when it allows it, else refused
clearly.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.support.apps import AppSpec, build
from tests.support.rig import PRODUCT, Rig

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no embedded queue")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a queue file is made."""
    return tmp_path / "queue.db"


def add(file: Path) -> None:
    """Publish one task to the file from a client that closes it again."""
    app = build(AppSpec("fastworker", f"sqlite:///{file}", None))
    app.tasks["proj.add"].delay(1, 2)
    app.close()


def change(file: Path, *statements: str) -> None:
    """Alter the file behind fastworker's back, as a program of another version would have left
    it.
    """
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_newer_format_that_allows_it_is_worked_on(file: Path) -> None:
    add(file)
    change(file, "PRAGMA user_version = 99", "ALTER TABLE meta ADD COLUMN added_later INTEGER")
    add(file)


def test_newer_format_that_forbids_it_is_refused(file: Path) -> None:
    from fastworker.exceptions import OperationalError

    add(file)
    change(
        file,
        "PRAGMA user_version = 99",
        "UPDATE meta SET value = 99 WHERE name = 'oldest_reader'",
    )
    with pytest.raises(OperationalError, match=r"queue\.db.*format 99.*upgrade"):
        add(file)


def test_database_of_another_program_is_left_alone(file: Path) -> None:
    from fastworker.exceptions import OperationalError

    change(file, "CREATE TABLE theirs(x)", "INSERT INTO theirs VALUES (1)")
    with pytest.raises(OperationalError, match=r"queue\.db.*another program"):
        add(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == [("theirs",)]


def test_two_workers_share_a_queue(rig: Rig) -> None:
    workers = [rig.worker("-n", f"w{number}@x", concurrency=1) for number in range(2)]
    results = [rig.task("who").delay() for _ in range(200)]
    assert {result.get(timeout=20)["hostname"] for result in results} <= {"w0@x", "w1@x"}
    assert workers[0].stop() == 0
    assert rig.task("who").delay().get(timeout=20)["hostname"] == "w1@x"
