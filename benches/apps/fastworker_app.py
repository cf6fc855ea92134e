"""The fastworker side: the same tasks with the same settings, and no tuning beyond the defaults."""

from __future__ import annotations

from benches.apps import ballast, options, rows, work
from fastworker import FastWorker
from fastworker.batches import SimpleRequest

app = FastWorker("bench", broker=options.BROKER, backend=options.BACKEND)
app.conf.update(
    task_default_queue=options.QUEUE,
    task_acks_late=options.ACKS_LATE,
    task_reject_on_worker_lost=options.ACKS_LATE,
    task_ignore_result=options.BACKEND is None,
)

noop = app.task(name="bench.noop")(work.noop)
echo = app.task(name="bench.echo")(work.echo)
tally = app.task(name="bench.tally")(work.tally)
wait = app.task(name="bench.wait")(work.wait)
burn = app.task(name="bench.burn")(work.burn)

# Coroutines, which Celery does not run.
noop_async = app.task(name="bench.noop_async")(work.noop_async)
hold = app.task(name="bench.hold")(work.hold)
probe = app.task(name="bench.probe")(work.probe)

# The limits of the rates scenario, which Celery has no like of, and RabbitMQ no place for.
if not options.BROKER.startswith("amqp"):
    keyed = app.task(name="bench.keyed", rate_limit="1000/s", rate_limit_key="number")(work.noop)
    hourly = app.task(name="bench.hourly", rate_limit="1/h", rate_limit_key="number")(work.noop)

# The batches scenario: one transaction for each message, or for a hundred.
insert = app.task(name="bench.insert")(rows.insert)


@app.task(name="bench.insert_batch", batch=100, batch_timeout=0.5)
def insert_batch(requests: list[SimpleRequest]) -> None:
    """The same rows, a hundred at a time."""
    rows.insert_all(request.args[0] for request in requests)


weight = ballast.allocate(options.BALLAST_BYTES)
