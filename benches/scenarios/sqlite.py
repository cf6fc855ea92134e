"""How does the embedded SQLite queue, with no server at all, compare with Celery on Redis?"""

from __future__ import annotations

from contextlib import ExitStack

from benches.harness.runner import open_run, rounds, sized
from benches.harness.stage import open_stage
from benches.harness.systems import FASTWORKER_SQLITE, PEERS

CONDITIONS = {
    "load": "noop(42), JSON, results ignored; laid aside, released at once to a warm, idle worker",
    "measured": "from the release until every task has run and the broker holds nothing",
    "fastworker-sqlite": "defaults: WAL, synchronous=NORMAL (a kill -9 loses nothing, a power cut "
    "may take back the last commits); its broker's processor time is in the worker's",
    "celery": "Redis with persistence off (a restart of the server loses everything), prefork, "
    "prefetch multiplier 128, -O fair, no gossip, mingle, heartbeat, events or rate limits",
    "worker": "2 processes, log level WARNING",
}


def main() -> None:
    """Run the scenario."""
    with open_run("sqlite", __doc__, CONDITIONS) as run:
        systems = (*PEERS, FASTWORKER_SQLITE)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        with ExitStack() as stack:
            stages = [stack.enter_context(open_stage(system)) for system in systems]
            sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
            for number, stage in rounds(stages):
                run.add(number, stage.system.name, stage.drain(sizes[stage.system.name]))


if __name__ == "__main__":
    main()
