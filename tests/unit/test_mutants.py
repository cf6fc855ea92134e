"""The list of broken engines, without breaking any: that takes ``make mutants``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "rust" / "engine" / "mutants"


def load(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the script that judges mutants; it imports the list from beside it."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return runpy.run_path(str(FOLDER / "run.py"), run_name="run")


def test_every_mutant_changes_one_place_of_the_engine_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = load(monkeypatch)
    assert len(run["MUTANTS"]) >= 20
    assert [text for mutant in run["MUTANTS"] if (text := run["fault"](mutant))] == []
    assert len({mutant.name for mutant in run["MUTANTS"]}) == len(run["MUTANTS"])


def test_rules_of_the_simulator_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = load(monkeypatch)["rules"]()
    assert {"settle_once", "nothing_lost", "start_recovered", "no_hoarding"} <= rules


class Bench:
    """The script with an engine that breaks as it is told to, and a folder of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.judged: list[str] = []
        self.names: dict[str, Any] = load(monkeypatch)["main"].__globals__
        mutant = self.names["Mutant"]
        mutants = [
            mutant(f"breaks {n}", "fleet.rs", "pub(crate) struct Fleet", str(n)) for n in range(4)
        ]
        self.changes = {
            "MUTANTS": mutants,
            "VERDICTS": folder / "verdicts.json",
            "COPY": folder / "engine",
        }
        self.names.update(self.changes, judge=self.judge)
        self.monkeypatch = monkeypatch

    def judge(self, mutant: Any, schedules: int) -> Any:
        if mutant is None:
            return self.names["Verdict"]("", "")
        self.judged.append(mutant.name)
        found = ("", "") if mutant.name == "breaks 2" else ("settle_once", "seed 7")
        return self.names["Verdict"](*found)

    def run(self, *arguments: str) -> int:
        self.judged.clear()
        self.monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        status: int = self.names["main"]()
        return status


def test_verdicts_are_kept_until_the_crate_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(monkeypatch, tmp_path)
    assert bench.run("--shard", "0/2") == 1, "one survives"
    assert bench.judged == ["breaks 0", "breaks 2"]
    capsys.readouterr()
    bench.run()
    assert bench.judged == ["breaks 1", "breaks 3"]
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[2:] == [
        "| breaks 0 | `settle_once` | seed 7 |",
        "| breaks 1 | `settle_once` | seed 7 |",
        "| breaks 2 | **nobody** |  |",
        "| breaks 3 | `settle_once` | seed 7 |",
    ]
    bench.names["state"] = lambda schedules: "another"
    bench.run("--table")
    assert bench.judged == []
    assert "seed 7 \\*" in capsys.readouterr().out
    bench.run("breaks 3")
    assert bench.judged == ["breaks 3"]


def test_run_that_has_had_its_time_begins_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(monkeypatch, tmp_path)
    assert bench.run("--minutes", "0") == 0, "nobody has survived"
    assert bench.judged == []
    assert "4 not judged" in capsys.readouterr().out


def test_engine_that_is_caught_itself_judges_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(monkeypatch, tmp_path)
    caught = bench.names["Verdict"]("settle_once", "seed 1")
    bench.names["judge"] = lambda mutant, schedules: caught
    assert bench.run() == 1
    assert "the engine itself" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "4", "4/4", "-1/4", "1/0"])
def test_shard_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(monkeypatch, tmp_path)
    with pytest.raises(SystemExit):
        bench.run(f"--shard={text}")
    assert "is no part such as 0/4" in capsys.readouterr().err
