"""The Celery side: 5.7, prefork, with the tuning that its own documents recommend for short tasks.

From the optimizing guide: a large prefetch multiplier (given by the harness on the command line,
chosen by trial), no gossip, mingle and heartbeat (command line), no rate limits, no events, results
ignored where nobody reads them, JSON.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from celery import Celery  # type: ignore[import-untyped]

from benches.apps import ballast, options, rows, work

app = Celery("bench", broker=options.BROKER, backend=options.BACKEND)
app.conf.update(
    task_default_queue=options.QUEUE,
    task_acks_late=options.ACKS_LATE,
    task_reject_on_worker_lost=options.ACKS_LATE,
    task_ignore_result=options.BACKEND is None,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
)

if options.CONFIRMS:
    app.conf.broker_transport_options = {"confirm_publish": True}

if options.IS_ACCELERATED:
    import fastworker

    fastworker.accelerate(app)

noop = app.task(name="bench.noop")(work.noop)
echo = app.task(name="bench.echo")(work.echo)
tally = app.task(name="bench.tally")(work.tally)
wait = app.task(name="bench.wait")(work.wait)
burn = app.task(name="bench.burn")(work.burn)

insert = app.task(name="bench.insert")(rows.insert)

if find_spec("celery_batches"):
    from celery_batches import Batches  # type: ignore[import-not-found]

    @app.task(name="bench.insert_batch", base=Batches, flush_every=100, flush_interval=0.5)  # type: ignore[untyped-decorator]
    def insert_batch(requests: Any) -> None:
        """The same rows, a hundred at a time."""
        rows.insert_all(request.args[0] for request in requests)
else:
    # The client, which publishes to it, has no need of the package.
    insert_batch = app.task(name="bench.insert_batch")(rows.insert)


weight = ballast.allocate(options.BALLAST_BYTES)
