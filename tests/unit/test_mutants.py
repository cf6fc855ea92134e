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
