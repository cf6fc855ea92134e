"""One worker per pidfile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.pidfile import pidfile


def test_the_file_has_our_number_while_we_run(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    with pidfile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_living_holder_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text("1\n")
    with pytest.raises(ImproperlyConfigured, match="belongs to process 1"), pidfile(str(path)):
        pass
    assert path.read_text() == "1\n"


@pytest.mark.parametrize("left", ["4194305\n", "", "nonsense"])
def test_what_a_dead_holder_left_is_taken_over(tmp_path: Path, left: str) -> None:
    path = tmp_path / "w.pid"
    path.write_text(left)
    with pidfile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_successors_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    with pidfile(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "w.pid"
    with pytest.raises(ImproperlyConfigured, match="cannot be written"), pidfile(str(path)):
        pass
