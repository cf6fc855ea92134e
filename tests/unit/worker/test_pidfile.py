"""One worker per pidfile."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastworker.errors import ImproperlyConfigured
from fastworker.worker.pidfile import pidfile, worker_of


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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a program that waits, with these words in its command line; its number."""
    with contextlib.ExitStack() as stack:

        def run(*words: str) -> int:
            script = tmp_path / "wait.sh"
            script.write_text("echo; read line")
            process = stack.enter_context(
                subprocess.Popen(
                    ["sh", str(script), *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=tmp_path,
                )
            )
            assert process.stdout is not None
            process.stdout.readline()
            return process.pid

        yield run


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "fastworker", "worker", "--pidfile", "w.pid"),
        ("/opt/bin/celery", "worker", "--pidfile={folder}/w.pid"),
        ("/opt/fastworker/greenlets.py", "worker"),
        ("/opt/bin/fastworker", "worker", "--pidfile=%n.pid"),
    ],
)
def test_a_worker_is_known_by_its_command_line(
    tmp_path: Path, start: Callable[..., int], words: tuple[str, ...]
) -> None:
    path = tmp_path / "w.pid"
    pid = start(*(word.format(folder=tmp_path) for word in words))
    path.write_text(f"{pid}\n")
    assert worker_of(str(path)) == pid


@pytest.mark.parametrize(
    "words",
    [
        ("/opt/fastworker/bin/gunicorn", "app"),
        ("-m", "fastworker", "worker", "--pidfile", "another.pid"),
    ],
)
def test_a_stranger_that_has_the_number_by_now_is_none(
    tmp_path: Path, start: Callable[..., int], words: tuple[str, ...]
) -> None:
    path = tmp_path / "w.pid"
    path.write_text(f"{start(*words)}\n")
    assert worker_of(str(path)) is None
