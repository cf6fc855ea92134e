"""Where the systems are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import environments, interpreters
from fastworker.bench.rivals.catalogue import FASTWORKER, RIVALS
from fastworker.bench.rivals.environments import ADAPTERS, GivenEnvironment, OwnEnvironments
from fastworker.bench.rivals.interpreters import Interpreter
from fastworker.bench.rivals.rival import Rival

RQ = next(one for one in RIVALS if one.name == "rq")
RQ_SIMPLE = next(one for one in RIVALS if one.name == "rq-simple")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run."""
    found: list[list[str]] = []

    def run(rival: Rival, command: list[str]) -> None:
        found.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)

    monkeypatch.setattr(environments, "_run", run)
    python = Interpreter("/opt/python", (3, 12, 1), True)
    monkeypatch.setattr(interpreters, "find", lambda oldest, named: python)
    return found


def test_an_environment_is_made_once_and_said(commands: list[list[str]], tmp_path: Path) -> None:
    said: list[str] = []
    own = OwnEnvironments(tmp_path, said.append)
    programs = own.programs(RQ)
    assert own.programs(RQ_SIMPLE) == programs  # the same project
    assert OwnEnvironments(tmp_path, said.append).programs(RQ) == programs  # a later run
    folder = str(programs.parent)
    lock = str(environments.LOCKS / "rq.txt")
    assert commands[0] == ["/opt/python", "-m", "venv", folder]
    assert commands[1][0] == f"{folder}/bin/python"
    assert commands[1][-4:] == ["--no-deps", "--require-hashes", "-r", lock]
    assert len(commands) == 2
    (line,) = said
    assert line.startswith(f"installing rq for Python 3.12.1 in {folder}: ")
    assert "rq==" in line
    assert "redis==" in line


def test_one_that_was_not_finished_is_made_again(commands: list[list[str]], tmp_path: Path) -> None:
    programs = OwnEnvironments(tmp_path, print).programs(RQ)
    (programs.parent / "installed").unlink()
    OwnEnvironments(tmp_path, print).programs(RQ)
    assert len(commands) == 4


def test_a_python_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(interpreters, "find", lambda oldest, named: None)
    mayu = next(one for one in RIVALS if one.name == "mayu")
    with pytest.raises(BenchError, match=r"needs Python 3\.13 or newer.*--python"):
        OwnEnvironments(tmp_path, print).programs(mayu)


def test_ours_is_the_interpreter_that_runs(tmp_path: Path) -> None:
    own = OwnEnvironments(tmp_path, print)
    assert own.programs(FASTWORKER) == Path(sys.executable).parent
    assert own.variables(FASTWORKER)["PYTHONPATH"].startswith(str(ADAPTERS))


def test_a_given_environment_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="is no virtual environment"):
        GivenEnvironment(tmp_path).programs(RQ)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    monkeypatch.setattr(environments, "versions", lambda programs: {"rq": "3.0.0"})
    assert GivenEnvironment(tmp_path).programs(RQ) == tmp_path / "bin"
    with pytest.raises(BenchError, match="fastworker-rs is not installed"):
        GivenEnvironment(tmp_path).programs(FASTWORKER)
    # In a source tree it is imported from there.
    assert GivenEnvironment(tmp_path, (tmp_path,)).programs(FASTWORKER) == tmp_path / "bin"


def test_the_first_interpreter_that_is_new_enough_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {
        "/a": Interpreter("/a", (3, 11, 1), True),
        "/c": Interpreter("/c", (3, 13, 0), False),
    }
    monkeypatch.setattr(interpreters, "candidates", lambda oldest, named: iter(("/a", "/b", "/c")))
    monkeypatch.setattr(interpreters, "look", there.get)
    found = interpreters.find((3, 12))
    assert found is not None
    assert (found.program, found.name) == ("/c", "3.13.0t")
    assert interpreters.find((3, 14)) is None


def test_the_interpreter_that_runs_comes_first_and_those_named_next() -> None:
    found = interpreters.candidates((3, 10), ["/named"])
    assert [next(found), next(found)] == [sys.executable, "/named"]
    assert next(interpreters.candidates((3, 99), ["/named"])) == "/named"
