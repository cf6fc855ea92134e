"""How many calls per second does a client publish on RabbitMQ, with confirmations and in Celery's case without?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benches.harness import client
from benches.harness.rabbit import RabbitServer
from benches.harness.runner import IS_QUICK, open_run, rounds
from benches.harness.systems import CELERY_LATE, FASTWORKER
from benches.scenarios.rabbitmq import environment

LOOP_S = 0.5 if IS_QUICK else 2.0
BULK_CALLS = 20_000 if IS_QUICK else 50_000

CONDITIONS = {
    "load": "noop(42), JSON, results ignored, persistent messages to a durable classic queue; no worker",
    "delay_per_s": ".delay() in a loop, in a process of its own for each round",
    "celery": "as it is: a call returns when the message is in the socket",
    "celery-confirmed": "with confirm_publish: a call returns when the server has confirmed",
    "fastworker": "always confirmed. bulk_per_s: map_async over a range, all confirmed when it returns",
    "broker": "one private RabbitMQ node on loopback, a virtual host for each system, emptied between rounds",
}

CLIENTS = {
    "celery": (CELERY_LATE, "0"),
    "celery-confirmed": (CELERY_LATE, "1"),
    "fastworker": (FASTWORKER, "1"),
}


def main() -> None:
    """Run the scenario."""
    with (
        open_run("rabbitmq_publish", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RabbitServer(Path(folder) / "node") as server,
    ):
        run.details["RabbitMQ"] = server.control("version").strip()
        for number, name in rounds(list(CLIENTS)):
            system, confirms = CLIENTS[name]
            env = {**environment(system, server, name), "BENCH_CONFIRMS": confirms}
            metrics = client.run(
                system, env, "publish_confirmed", seconds=LOOP_S, bulk_calls=BULK_CALLS
            )
            run.add(number, name, metrics)
            server.control("purge_queue", "-p", name, "bench")


if __name__ == "__main__":
    main()
