"""How many no-op tasks per second does an unchanged Celery application drain, with Celery's worker and with ours?"""

from __future__ import annotations

from contextlib import ExitStack

from benches.harness.runner import open_run, rounds, sized
from benches.harness.stage import open_stage
from benches.harness.systems import CELERY_EARLY, CELERY_LATE, HOSTED_EARLY, HOSTED_LATE
from benches.scenarios.drain_noop import CONDITIONS as DRAIN_CONDITIONS
from benches.scenarios.drain_noop import tuned

CONDITIONS = {
    **DRAIN_CONDITIONS,
    "application": "benches/apps/celery_app.py, a celery.Celery, for all four",
    "fastworker": "defaults; the tasks are run by Celery's own tracer",
}


def main() -> None:
    """Run the scenario."""
    with open_run("hosted", __doc__, CONDITIONS) as run:
        peers = [tuned(system, run) for system in (CELERY_LATE, CELERY_EARLY)]
        systems = [*peers, HOSTED_LATE, HOSTED_EARLY]
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        with ExitStack() as stack:
            stages = [stack.enter_context(open_stage(system)) for system in systems]
            sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
            for number, stage in rounds(stages):
                run.add(number, stage.system.name, stage.drain(sizes[stage.system.name]))


if __name__ == "__main__":
    main()
