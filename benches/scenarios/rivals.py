"""How do other task queues do with the same tasks? ``fastworker bench rivals``, with its result kept here."""

from __future__ import annotations

import json
import os
import sys
import time

from benches.harness.machine import commit
from benches.harness.results import FOLDER
from benches.harness.runner import IS_QUICK
from fastworker.bench.rivals import catalogue, plot, workloads
from fastworker.bench.rivals.environments import OwnEnvironments, default_cache
from fastworker.bench.rivals.run import run
from fastworker.bench.rivals.settings import RivalsSettings

PICTURE = "rivals.svg"


def main() -> None:
    """Run the scenario; ``BENCH_RIVALS=celery,dramatiq`` leaves out those that are not named, ``BENCH_RIVALS_ROUNDS=1``
    and ``BENCH_RIVALS_WORKLOADS=noop,sleep`` take less time.
    """
    names = [name for name in os.environ.get("BENCH_RIVALS", "").split(",") if name]
    every = ",".join(one.name for one in workloads.WORKLOADS)
    asked = "noop" if IS_QUICK else os.environ.get("BENCH_RIVALS_WORKLOADS", every)
    settings = RivalsSettings(
        workloads=workloads.named(asked.split(",")),
        rivals=catalogue.chosen(names),
        tasks=1_000 if IS_QUICK else 20_000,
        drain_s=1.0,
        rounds=1 if IS_QUICK else int(os.environ.get("BENCH_RIVALS_ROUNDS", "2")),
        command=("python", "-m", "benches.scenarios.rivals", *sys.argv[1:]),
    )
    content = run(settings, OwnEnvironments(default_cache(), print), print)
    content["commit"] = commit()
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(content["created"]))
    path = FOLDER / f"{'quick-' if IS_QUICK else ''}{stamp}-rivals.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    if not IS_QUICK:
        (FOLDER / PICTURE).write_text(plot.plot(content))
    print(f"  every sample is in benches/results/{path.name}", flush=True)


if __name__ == "__main__":
    main()
