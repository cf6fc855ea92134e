"""How many no-op tasks per second does a worker drain on RabbitMQ, beside Celery's and beside a bare consumer?"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from benches.harness import client
from benches.harness.rabbit import BARE, RabbitLoad, RabbitServer, RabbitStage, drain_bare
from benches.harness.results import Run
from benches.harness.runner import DRAIN_S, IS_QUICK, open_run, rounds, sized
from benches.harness.systems import (
    CELERY_EARLY,
    CELERY_LATE,
    CONCURRENCY,
    FASTWORKER,
    HOSTED_LATE,
    System,
)
from benches.harness.worker import Worker

PREFETCH_TRIALS = (128,) if IS_QUICK else (32, 128, 1000)
LAPIN = "lapin"
#: As many for all that are compared with one another: RabbitMQ is slower with a longer queue.
TASKS = 20_000 if IS_QUICK else 60_000

CONDITIONS = {
    "load": "noop(42), JSON, results ignored, persistent messages in a durable classic queue; published while the "
    "worker's processes stand still",
    "measured": "from the moment when they go on until every task has run; processor time until then; that all are "
    "acknowledged is seen afterwards",
    "tasks": f"{TASKS:,} a drain, by our workers and the bare consumer; what takes some seconds, by Celery's",
    "worker": "2 processes, log level WARNING",
    "celery": "prefork, -O fair, no gossip, mingle, heartbeat, events or rate limits; the prefetch multiplier that "
    "drains quickest with late acknowledgement, of " + ", ".join(map(str, PREFETCH_TRIALS)),
    "fastworker": "defaults; hosted-late: the same Celery application, unchanged",
    LAPIN: "rust/broker/examples/amqp_consumer.rs: consumes with a prefetch of 1,000, and acknowledges all that has "
    "come with one frame; no task runs. It is started for each round, and measured from its basic.consume",
    "broker": "one private RabbitMQ node on loopback, a virtual host for each system",
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("rabbitmq", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RabbitServer(Path(folder) / "node") as server,
    ):
        run.details["RabbitMQ"] = server.control("version").strip()
        drains(run, server)


def drains(run: Run, server: RabbitServer) -> None:
    """Workers, and the bare consumer, in rounds."""
    late = tuned(CELERY_LATE, run, server)
    peers = [late, CELERY_EARLY.with_prefetch(late.prefetch or 0)]
    systems = [*peers, FASTWORKER, HOSTED_LATE]
    run.conditions["acknowledgement"] = {system.name: system.guarantee for system in systems}
    with ExitStack() as stack:
        stages = {system.name: opened(system, server, stack) for system in systems}
        sizes = {name: sized(stage.warm_up(), most=TASKS) for name, stage in stages.items()}
        sizes |= dict.fromkeys((FASTWORKER.name, HOSTED_LATE.name, LAPIN), TASKS)
        bare = RabbitLoad(server, written(FASTWORKER, server, LAPIN))
        stack.callback(bare.close)
        if not BARE.exists():
            print(f"  {BARE.name} is not built (cargo build --release --example): left out")
            run.details[LAPIN] = "not built, left out"
        for number, name in rounds([*stages, *([LAPIN] if BARE.exists() else [])]):
            is_bare, count = name == LAPIN, sizes[name]
            drained = drain_bare(server, bare, count) if is_bare else stages[name].drain(count)
            run.add(number, name, drained)


def environment(system: System, server: RabbitServer, host: str) -> dict[str, str]:
    """What a system's processes are told."""
    acks_late = "1" if system.acks_late else "0"
    return {"BENCH_BROKER": server.host(host), "BENCH_BACKEND": "", "BENCH_ACKS_LATE": acks_late}


def written(system: System, server: RabbitServer, host: str) -> str:
    """Has a client publish one message to copy; returns the virtual host."""
    env = environment(system, server, host)
    client.run(system, env, "publish_one", task="noop", args=[42])
    return host


def opened(
    system: System, server: RabbitServer, stack: ExitStack, host: str | None = None
) -> RabbitStage:
    """A worker, and its load."""
    host = written(system, server, host or system.name)
    load = RabbitLoad(server, host)
    stack.callback(load.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    env = environment(system, server, host)
    worker = stack.enter_context(Worker(system, CONCURRENCY, folder, env))
    return RabbitStage(server, host, worker, load)


def tuned(system: System, run: Run, server: RabbitServer) -> System:
    """Celery with the prefetch multiplier that drains quickest here and now."""
    if len(PREFETCH_TRIALS) == 1:
        return system.with_prefetch(PREFETCH_TRIALS[0])
    rates: dict[int, float] = {}
    for multiplier in PREFETCH_TRIALS:
        with ExitStack() as stack:
            trial = system.with_prefetch(multiplier)
            stage = opened(trial, server, stack, f"{system.name}-{multiplier}")
            rates[multiplier] = stage.drain(sized(stage.warm_up(), DRAIN_S / 2))["tasks_per_s"]
    best = max(rates, key=rates.__getitem__)
    run.details[f"{system.name} prefetch trial, tasks/s"] = {
        str(key): value for key, value in rates.items()
    }
    print(f"  {system.name}: prefetch multiplier {best} of {rates}", flush=True)
    return system.with_prefetch(best)


if __name__ == "__main__":
    main()
