"""How long does a chord take from the moment when a worker may begin with its members until its body has returned?"""

from __future__ import annotations

import time
from contextlib import ExitStack

from benches.harness import client
from benches.harness.load import HOLD
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import CELERY_LATE, FASTWORKER

MEMBERS = 2_000 if IS_QUICK else 100_000
ROUNDS = 2

CONDITIONS = {
    "load": f"a chord of {MEMBERS} echo(number), whose body counts and adds what they returned; published by the "
    "system's own canvas (not timed), released at once",
    "measured": "from the release until the client has the body's result, which is checked",
    "results": "the same Redis, another database; expire after a day (both defaults)",
    "worker": "2 processes, log level WARNING; the client is a third process on the same cores",
    "celery": "prefork, prefetch multiplier 128, -O fair, no gossip, mingle, heartbeat or events",
    "fastworker": "defaults",
    "broker": "a private Redis for each system, on loopback, persistence off for all",
}


def main() -> None:
    """Run the scenario."""
    with open_run("chords", __doc__, CONDITIONS) as run, ExitStack() as stack:
        systems = (CELERY_LATE, FASTWORKER)
        run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
        stages = [
            stack.enter_context(open_stage(system, task="echo", with_results=True))
            for system in systems
        ]
        for stage in stages:
            stage.warm_up()
        for number, stage in rounds(stages, ROUNDS):
            run.add(number, stage.system.name, join(stage, MEMBERS))


def join(stage: Stage, count: int) -> dict[str, float]:
    """Let a client publish a chord, release its members, and wait until the client has its result."""
    with client.start(stage.system, stage.env, "join_chord", count=count, hold=HOLD) as process:
        client.expect(process, "published")
        worker_cpu, broker_cpu = stage.worker.cpu_s(), stage.broker.cpu_s()
        client.tell(process, "go")
        released = time.monotonic()
        stage.load.release()
        done = client.expect(process, "finished_at")
    stage.await_empty()
    return {
        "members_per_s": count / (done["finished_at"] - released),
        "chord_s": done["finished_at"] - released,
        "worker_cpu_us": (stage.worker.cpu_s() - worker_cpu) / count * 1e6,
        "broker_cpu_us": (stage.broker.cpu_s() - broker_cpu) / count * 1e6,
        "members": count,
    }


if __name__ == "__main__":
    main()
