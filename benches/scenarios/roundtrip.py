"""How long does delay().get() take on an idle worker?"""

from __future__ import annotations

from contextlib import ExitStack

from benches.harness import client
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.stage import Stage, open_stage
from benches.harness.stats import percentile
from benches.harness.systems import FASTWORKER, PEERS

CALLS = 100 if IS_QUICK else 500

CONDITIONS = {
    "load": f"echo(number).get() in a loop, one at a time, {CALLS} calls a round after 50 to warm "
    f"up; checked",
    "worker": "2 processes, idle otherwise, log level WARNING",
    "celery": "prefork, prefetch multiplier 128, -O fair, no gossip, mingle, heartbeat or events",
    "fastworker": "defaults",
    "broker": "a private Redis for each system, results in another database of it, on loopback, "
    "persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("roundtrip", __doc__, CONDITIONS) as run:
        systems = (*PEERS, FASTWORKER)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        with ExitStack() as stack:
            stages = [
                stack.enter_context(open_stage(system, task="echo", with_results=True))
                for system in systems
            ]
            for stage in stages:
                stage.warm_up()
            for number, stage in rounds(stages):
                run.add(number, stage.system.name, timed(stage))


def timed(stage: Stage) -> dict[str, float]:
    """Percentiles of one round, in milliseconds."""
    times_ms = client.run(stage.system, stage.env, "round_trips", count=CALLS)["times_ms"]
    return {
        "p50_ms": percentile(times_ms, 0.50),
        "p99_ms": percentile(times_ms, 0.99),
        "max_ms": max(times_ms),
        "calls": len(times_ms),
    }


if __name__ == "__main__":
    main()
