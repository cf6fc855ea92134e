"""What does it cost a worker to be measured by ``fastworker bench``?"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from benches.harness.load import IntendedLoad, RedisLoad
from benches.harness.runner import IS_QUICK, open_run, rounds, sized
from benches.harness.stage import Stage, open_stage
from benches.harness.systems import FASTWORKER
from fastworker import FastWorker

RECORDING = replace(FASTWORKER, name="fastworker-recording")
ROUNDS = 3 if IS_QUICK else 15
"""More than elsewhere: a difference of a hundredth is looked for."""

CONDITIONS = {
    "load": "noop(42), JSON, results ignored, with the headers of a bench; laid aside beforehand, released at once to "
    "a warm and idle worker",
    "measured": "from the release until every task has run and the broker holds neither message nor lease",
    "recording": "one of two workers records; which of them is the first takes turns",
    "worker": "2 processes, log level WARNING, otherwise defaults",
    "broker": "a private Redis for each, on loopback, persistence off",
}


def main() -> None:
    """Run the scenario."""
    with open_run("recording", __doc__, CONDITIONS) as run, ExitStack() as stack:
        stages = [stack.enter_context(open_stage(system)) for system in (FASTWORKER, RECORDING)]
        for stage in stages:
            assert isinstance(stage.load, RedisLoad)  # the broker is Redis
            stage.load = IntendedLoad(stage.load)
        sizes = {stage.system.name: sized(stage.warm_up()) for stage in stages}
        order(stages[1], "start")
        for number, stage in rounds(stages, ROUNDS):
            run.add(number, stage.system.name, stage.drain(sizes[stage.system.name]))
        counted = order(stages[1], "count")["records"][0]["tasks"]
        run.details["recorded"] = {name: str(task["outcomes"]) for name, task in counted.items()}


def order(stage: Stage, word: str) -> dict[str, list[dict[str, dict[str, dict[str, int]]]]]:
    """Tell the worker's recorder."""
    app = FastWorker("recording", broker=stage.broker.url, set_as_current=False)
    replies = app.control.broadcast(
        "bench_record", arguments={"order": word}, reply=True, limit=1, timeout=10.0
    )
    if not replies:
        raise SystemExit("the worker does not answer to bench_record")
    (answer,) = replies[0].values()
    return answer  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
