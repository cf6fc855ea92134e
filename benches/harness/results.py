"""One JSON per run: every sample, and all that is needed to judge or repeat it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benches.harness import machine

VERSION = 1
FOLDER = Path(__file__).resolve().parents[1] / "results"


@dataclass
class Sample:
    """What one system did in one round.

    Attributes:
        round: From 0; samples of one round are compared with each other.
        system: Name of the system.
        metrics: Names carry their unit (``tasks_per_s``, ``worker_cpu_us``).
        case: Which load, in scenarios that have several.
    """

    round: int
    system: str
    metrics: dict[str, float]
    case: str = ""


@dataclass
class Run:
    """One run of one scenario.

    Attributes:
        scenario: Name of the module under ``scenarios``.
        question: What it answers, one sentence.
        is_quick: Short form: fewer rounds, smaller loads; not for publishing.
        conditions: What was the same for all, and what differed, in words.
        samples: In the order they were taken.
        details: Anything else that was measured once, such as the choice of a tuning.
    """

    scenario: str
    question: str
    is_quick: bool
    conditions: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    started: str = field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds")
    )
    load_at_start: float = field(default_factory=machine.load)

    def add(
        self, round_number: int, system: str, metrics: dict[str, float], case: str = ""
    ) -> None:
        """Keep one sample and show it."""
        self.samples.append(Sample(round_number, system, metrics, case))
        shown = "  ".join(f"{name} {value:,.6g}" for name, value in metrics.items())
        print(f"  round {round_number + 1}  {system:<18} {case} {shown}", flush=True)

    def write(self, folder: Path = FOLDER) -> Path:
        """Write ``<time>-<scenario>.json`` (``quick-`` before a short run) and return its path."""
        document = {
            "version": VERSION,
            "commit": machine.commit(),
            "machine": machine.facts(),
            "load_at_end": machine.load(),
            **asdict(self),
        }
        stamp = "".join(letter for letter in self.started[:19] if letter.isdigit())
        folder.mkdir(exist_ok=True)
        path = folder / f"{'quick-' if self.is_quick else ''}{stamp}-{self.scenario}.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        return path


def read_latest(scenario: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The newest full run of ``scenario``; the newest quick one when there is no full run; None
    without either.
    """
    for pattern in (f"2*-{scenario}.json", f"quick-*-{scenario}.json"):
        found = sorted(folder.glob(pattern))
        if found:
            document: dict[str, Any] = json.loads(found[-1].read_text())
            return {**document, "file": found[-1].name}
    return None
