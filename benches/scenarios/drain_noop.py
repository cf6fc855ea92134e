"""How many no-op tasks per second does a worker drain, and what does one cost in processor time?"""

from __future__ import annotations

from contextlib import ExitStack

from benches.harness.results import Run
from benches.harness.runner import DRAIN_S, IS_QUICK, open_run, rounds, sized
from benches.harness.stage import open_stage
from benches.harness.systems import FASTWORKER, PEERS, System

PREFETCH_TRIALS = (128,) if IS_QUICK else (16, 128, 1000)
"""Celery's multiplier is its main tuning for short tasks ("Optimizing"); its default of 4 is far
too small here.
"""

CONDITIONS = {
    "load": "noop(42), JSON, results ignored; laid aside beforehand, released at once to a warm "
    "and idle worker",
    "measured": "from the release until every task has run and the broker holds neither message "
    "nor lease",
    "worker": "2 processes, log level WARNING",
    "celery": "prefork, -O fair, no gossip, mingle, heartbeat, events or rate limits; best "
    "prefetch multiplier of " + ", ".join(map(str, PREFETCH_TRIALS)),
    "fastworker": "defaults",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    with open_run("drain_noop", __doc__, CONDITIONS) as run:
        peers = [tuned(system, run) for system in PEERS]
        systems = [*peers, FASTWORKER]
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        with ExitStack() as stack:
            stages = [stack.enter_context(open_stage(system)) for system in systems]
            sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
            for number, stage in rounds(stages):
                run.add(number, stage.system.name, stage.drain(sizes[stage.system.name]))


def tuned(system: System, run: Run) -> System:
    """Celery with the prefetch multiplier that drains quickest here and now."""
    if len(PREFETCH_TRIALS) == 1:
        return system.with_prefetch(PREFETCH_TRIALS[0])
    rates: dict[int, float] = {}
    for multiplier in PREFETCH_TRIALS:
        with open_stage(system.with_prefetch(multiplier)) as stage:
            rates[multiplier] = stage.drain(sized(stage.warm_up(), DRAIN_S / 2))["tasks_per_s"]
    best = max(rates, key=rates.__getitem__)
    run.details[f"{system.name} prefetch trial, tasks/s"] = {
        str(key): value for key, value in rates.items()
    }
    print(f"  {system.name}: prefetch multiplier {best} of {rates}", flush=True)
    return system.with_prefetch(best)


if __name__ == "__main__":
    main()
