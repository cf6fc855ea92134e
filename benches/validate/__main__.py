"""``python -m benches.validate``: measure what is missing, then write the table.

A unit (a workload with a number of slots) takes some 100 s. Each is kept when it is done, and another call goes on
with the next: ``--units 2 --measure`` stops after two. Predictions are made afterwards, when nothing is measured.
``--short`` is for CI: one unit, shortened, nothing written; it checks that it works, and says nothing of figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benches.harness import machine
from benches.harness.results import FOLDER
from benches.validate import table
from benches.validate.measure import unit
from benches.validate.predict import predict
from benches.validate.workloads import CASES, SLOTS, Case

RESULTS = FOLDER / "plan-validation.json"
#: Measured and not yet compared with anything; not committed.
RAW = machine.REPOSITORY / "target" / "plan-validation"


def main(arguments: list[str]) -> int:
    """Run; 1 when the short form finds something odd."""
    parser = argparse.ArgumentParser(prog="benches.validate")
    parser.add_argument("--units", type=int, default=len(CASES) * len(SLOTS))
    parser.add_argument("--only", default="", metavar="TEXT", help="workloads whose name has it")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--measure", action="store_true", help="only measure")
    parser.add_argument("--table", action="store_true", help="only write the table")
    options = parser.parse_args(arguments)
    if options.short:
        return _short()
    names = [(case, slots) for slots in SLOTS for case in CASES]
    RAW.mkdir(parents=True, exist_ok=True)
    left = [
        (case, slots)
        for case, slots in names
        if options.only in case.name and not options.table and not _raw(case, slots).exists()
    ]
    for case, slots in left[: options.units]:
        measured = unit(case, slots, seed=10 * CASES.index(case) + slots)
        _raw(case, slots).write_text(json.dumps(measured))
        print(f"{case.name}, {slots} slots: {measured['capacity_per_s']:.0f}/s", flush=True)
    if options.measure:
        return 0
    units = [_predicted(case, slots) for case, slots in names if _raw(case, slots).exists()]
    document = {
        "version": 1,
        "machine": machine.facts(),
        "commit": machine.commit(),
        "units": units,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    table.write(document)
    return 0


def _raw(case: Case, slots: int) -> Path:
    return RAW / f"{CASES.index(case)}-{slots}.json"


def _predicted(case: Case, slots: int) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(_raw(case, slots).read_text())
    measured["predicted"] = predict(case, measured)
    # What was predicted from them is kept; thousands of times are not.
    for calibration in measured["calibrations"]:
        del calibration["service_s"], calibration["cpu_s"]
    for run in measured["runs"]:
        run.pop("trace", None)
    print("\n".join(table.rows(measured)), flush=True)
    return measured


def _short() -> int:
    measured = unit(CASES[1], 2, seed=1, scale=0.2, span_s=2.0)
    predicted = predict(CASES[1], measured, replicas=10)
    print("\n".join(table.rows({**measured, "predicted": predicted})))
    ended = [run["tasks"] > 0 and run["p95_s"] > 0 for run in measured["runs"]]
    return 0 if all(ended) and predicted["capacity_per_s"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
