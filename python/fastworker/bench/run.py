"""``fastworker bench run`` in order: start workers, warm up, repeat, put it together."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from fastworker import _core
from fastworker.bench import machine, probe
from fastworker.bench.delay_proxy import delayed
from fastworker.bench.errors import BenchError
from fastworker.bench.fleet import OwnWorkers, attached, started
from fastworker.bench.phase import Phase, Stage, Watch
from fastworker.bench.probe import RedisProbe
from fastworker.bench.report import document
from fastworker.bench.settings import BenchSettings
from fastworker.bench.templates import templates

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Gets a line of what comes next, and how to watch it.
Progress = Callable[[str], Watch]


def run(app: FastWorker, settings: BenchSettings, progress: Progress) -> dict[str, Any]:
    """Measure.

    Args:
        app: The application whose tasks are called; ours for a built-in workload.
        settings: How.
        progress: Told of each phase before it begins.

    Returns:
        The content of a bench's file.

    Raises:
        BenchError: It could not be measured.
        OperationalError, ImproperlyConfigured: The broker or the application cannot be used.
    """
    facts = machine.fingerprint()
    with ExitStack() as stack:
        queue = None if settings.is_attached else f"fastworker-bench-{_core.new_id()[:8]}"
        direct_url = app.broker.write_url
        environment = stack.enter_context(_addressed(app, settings, queue))
        made = templates(app, settings.workload.calls, queue)
        name = queue or _one_queue(made)
        fleet = stack.enter_context(_fleet(app, settings, name, environment))
        if queue is not None:
            stack.callback(_purge, app, queue)
        redis = _probe(stack, direct_url)
        url, options = app.broker.write_address
        pacers = [
            _core.Pacer(url, options, made, _core.new_id()) for _ in range(settings.connections)
        ]
        for pacer in pacers:
            stack.callback(pacer.close)
            pacer.depth(name)  # it is connected from now on
        stage = Stage(app, settings, fleet, pacers, name, redis)
        phases = list(_phases(stage, settings, progress))
        fleet.check()
        broker = {
            "transport": urlsplit(direct_url).scheme,
            **(redis.facts() if redis is not None else probe.embedded_facts(direct_url)),
            "rtt_s": probe.round_trip_s(lambda: pacers[0].depth(name))
            if redis is None
            else redis.rtt_s(),
            "added_rtt_s": settings.rtt_s,
        }
        pids = len(fleet.nodes)
    return document(settings, phases, facts, broker, pids)


def _phases(stage: Stage, settings: BenchSettings, progress: Progress) -> Iterator[Phase]:
    rng = random.Random(settings.seed)
    if settings.warm_up_s > 0 and settings.arrivals != "recorded":
        stage.watch = progress("warm-up")
        yield stage.play("warm_up", None, settings.warm_up_s, rng)
    for repeat in range(settings.repeats):
        stage.watch = progress(f"repeat {repeat + 1} of {settings.repeats}")
        yield stage.play("measure", repeat, settings.duration_s, rng)


@contextmanager
def _addressed(
    app: FastWorker, settings: BenchSettings, queue: str | None
) -> Iterator[dict[str, str]]:
    """The application and the workers use the broker that is measured; yields what workers have to be told.

    Ours without a broker gets a private file; with ``--rtt`` everybody goes through a proxy.
    """
    with ExitStack() as stack:
        is_ours = settings.spec == BenchSettings.spec
        told: dict[str, str] = {} if queue is None else {"FASTWORKER_BENCH_QUEUE": queue}
        if is_ours and not app.conf.broker_url:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastworker-bench-"))
            url = f"sqlite:///{quote(str(Path(directory) / 'queue.db'))}"
            app.conf.broker_url = told["FASTWORKER_BROKER_URL"] = url
        if settings.rtt_s > 0:
            url = stack.enter_context(delayed(app.broker.write_url, settings.rtt_s))
            app.conf.broker_url = told["FASTWORKER_BROKER_URL"] = url
        if is_ours and settings.workload.wants_results and app.broker.result_url is None:
            app.conf.result_backend = told["FASTWORKER_RESULT_BACKEND"] = app.broker.write_url
        os.environ.update(told)
        try:
            yield told
        finally:
            for name in told:
                os.environ.pop(name, None)


def _fleet(
    app: FastWorker, settings: BenchSettings, queue: str, environment: dict[str, str]
) -> Any:
    if settings.is_attached:
        return attached(app, settings.nodes)
    own = OwnWorkers(
        spec=settings.spec,
        count=settings.workers,
        concurrency=settings.concurrency,
        pool=settings.pool,
        queue=queue,
        environment=environment,
        options=settings.worker_options,
    )
    return started(app, own)


def _one_queue(made: list[tuple[str, int, bytes, int]]) -> str:
    queues = sorted({queue for queue, *_ in made})
    if len(queues) > 1:
        raise BenchError(
            f"the calls go to the queues {', '.join(queues)}: expected one with --attach"
        )
    return queues[0]


def _purge(app: FastWorker, queue: str) -> None:
    """What is left belongs to nobody."""
    publisher = app.publishing.publisher
    publisher.purge(queue)
    publisher.unlane(queue)
    publisher.purge(queue)


def _probe(stack: ExitStack, url: str) -> RedisProbe | None:
    if not probe.is_redis(url):
        return None
    redis = RedisProbe(url)
    stack.callback(redis.close)
    return redis
