"""``fastworker plan`` on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fastworker.plan import replicas, sizing

Run = Callable[..., tuple[int, str, str]]
QUICK = ("plan", "--rate", "20", "--service", "0.1")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "MOST_TASKS", 500)
    monkeypatch.setattr(sizing, "_LOOK_TASKS", 500)


def test_two_options_are_enough_and_no_application_is_needed(fastworker: Run) -> None:
    status, out, err = fastworker(*QUICK)
    assert (status, err) == (0, "")
    assert "nodes of 2 slots on 2 cores" in " ".join(out.split())
    for heading in ("Waits at the peak hour", "Limits", "Alerts", "KEDA", "Made from"):
        assert heading in out


def test_a_file_is_read_and_options_come_before_it(fastworker: Run, project: Path) -> None:
    (project / "plan.json").write_text(
        json.dumps({"class": [{"task": "t", "rate": 20, "service": 0.1}], "node": {"slots": 3}})
    )
    status, out, _ = fastworker(
        "plan", "plan.json", "--slots", "5", "--target", "p99 wait <= 1s", "--json"
    )
    made = json.loads(out)
    assert status == 0
    assert made["targets"] == ["p99 wait <= 1 s"]
    assert made["slots"] == made["nodes"] * 5


def test_times_of_a_file_stand_for_the_service(fastworker: Run, project: Path) -> None:
    (project / "times.txt").write_text("0.1\n0.3\n")
    _, out, _ = fastworker("plan", "--rate", "5", "--service", "times.txt", "--json")
    figures = {each["name"]: each for each in json.loads(out)["figures"]}
    assert figures["class tasks.service.mean"]["value"] == pytest.approx(0.2)
    assert figures["class tasks.service.mean"]["origin"] == "measured"


def test_a_page_is_whole_and_loads_nothing(fastworker: Run, project: Path) -> None:
    status, _, _ = fastworker(*QUICK, "--task", "<b>", "--html", "plan.html", "--json")
    text = (project / "plan.html").read_text()
    assert status == 0
    assert text.count("<svg") == text.count("</svg>") == 2
    assert "&lt;b&gt;.rate" in text
    assert "<b>.rate" not in text
    assert not re.search(r"(src|href)=|url\(|@import", text)


def test_keda_alone_is_a_manifest(fastworker: Run) -> None:
    _, out, _ = fastworker(*QUICK, "--keda")
    assert out.startswith("apiVersion: keda.sh/v1alpha1\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan",), "expected a plan file, --live, or --rate and --service"),
        (("plan", "no.toml"), "plan file 'no.toml': No such file"),
        ((*QUICK, "--target", "soon"), "target 'soon': expected"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    fastworker: Run, arguments: tuple[str, ...], says: str
) -> None:
    status, _, err = fastworker(*arguments)
    assert status == 2
    assert says in err
