"""``fastworker bench run`` in order: start workers, warm up, repeat, put it together."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from fastworker import _core
from fastworker.bench import machine, search, server_process
from fastworker.bench import probe as probes
from fastworker.bench.delay_proxy import delayed
from fastworker.bench.errors import BenchError
from fastworker.bench.fleet import OwnWorkers, attached, started
from fastworker.bench.phase import Phase, Progress
from fastworker.bench.probe import Probe, RedisProbe
from fastworker.bench.report import document
from fastworker.bench.settings import BenchSettings
from fastworker.bench.stage import Stage
from fastworker.bench.templates import templates

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


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
    queue = None if settings.is_attached else own_queue()
    with (
        addressed(app, settings, queue) as place,
        staged(app, settings, queue, place) as stage,
    ):
        phases = list(_phases(stage, settings, progress))
        stage.fleet.check()
        broker = broker_facts(stage, place)
        nodes = len(stage.fleet.nodes)
    return document(settings, phases, facts, broker, nodes)


def own_queue() -> str:
    """The name of a queue that nobody else uses."""
    return f"fastworker-bench-{_core.new_id()[:8]}"


@dataclass(frozen=True)
class Place:
    """Where the broker is.

    Attributes:
        environment: What workers have to be told of it.
        direct_url: Past the proxy of ``--rtt``.
    """

    environment: Mapping[str, str]
    direct_url: str


@contextmanager
def staged(
    app: FastWorker, settings: BenchSettings, queue: str | None, place: Place
) -> Iterator[Stage]:
    """Workers that are ready, and publishers that are connected; all is put away at the end.

    Raises: as ``run``.
    """
    with ExitStack() as stack:
        made = templates(app, settings.workload.calls, queue)
        name = queue or _one_queue(made)
        fleet = stack.enter_context(_fleet(app, settings, name, place.environment))
        if queue is not None:
            stack.callback(_purge, app, queue)
        probe = _probe(stack, place.direct_url)
        url, options = app.broker.write_address
        seed = _core.new_id()
        pacers = [_core.Pacer(url, options, made, seed) for _ in range(settings.connections)]
        for pacer in pacers:
            stack.callback(pacer.close)
            pacer.depth(name)  # it is connected from now on
        yield Stage(app, settings, fleet, pacers, name, probe, seed)


def broker_facts(stage: Stage, place: Place) -> dict[str, Any]:
    """What a file says of the broker."""
    asked = stage.probe if isinstance(stage.probe, RedisProbe) else None
    return {
        "transport": urlsplit(place.direct_url).scheme,
        **(probes.embedded_facts(place.direct_url) if asked is None else asked.facts()),
        "rtt_s": probes.round_trip_s(lambda: stage.pacers[0].depth(stage.queue))
        if asked is None
        else asked.rtt_s(),
        "added_rtt_s": stage.settings.rtt_s,
    }


def _phases(stage: Stage, settings: BenchSettings, progress: Progress) -> Iterator[Phase]:
    rng = random.Random(settings.seed)
    # Each closed loop has a warm-up of its own, from which it goes on.
    if settings.warm_up_s > 0 and settings.arrivals not in ("recorded", "closed"):
        stage.watch = progress("warm-up")
        yield stage.play("warm_up", None, settings.warm_up_s, rng)
    if settings.search is not None:
        yield from search.phases(stage, settings.search, rng, progress)
        return
    for repeat in range(settings.repeats):
        stage.watch = progress(f"repeat {repeat + 1} of {settings.repeats}")
        yield stage.play("measure", repeat, settings.duration_s, rng)


@contextmanager
def addressed(app: FastWorker, settings: BenchSettings, queue: str | None) -> Iterator[Place]:
    """The application and the workers use the broker that is measured.

    Ours without a broker gets a private file; with ``--rtt`` everybody goes through a proxy.
    """
    with ExitStack() as stack:
        is_ours = settings.spec == BenchSettings.spec
        told: dict[str, str] = {} if queue is None else {"FASTWORKER_BENCH_QUEUE": queue}
        if is_ours and not app.conf.broker_url:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fastworker-bench-"))
            url = f"sqlite:///{quote(str(Path(directory) / 'queue.db'))}"
            app.conf.broker_url = told["FASTWORKER_BROKER_URL"] = url
        direct_url = app.broker.write_url
        if settings.rtt_s > 0:
            url = stack.enter_context(delayed(direct_url, settings.rtt_s))
            app.conf.broker_url = told["FASTWORKER_BROKER_URL"] = url
        if is_ours and settings.workload.wants_results and app.broker.result_url is None:
            app.conf.result_backend = told["FASTWORKER_RESULT_BACKEND"] = app.broker.write_url
        os.environ.update(told)
        try:
            yield Place(told | _of_workers(settings), direct_url)
        finally:
            for name in told:
                os.environ.pop(name, None)


def _of_workers(settings: BenchSettings) -> dict[str, str]:
    """What only workers are told. One that has a task with a limit does not start where the broker cannot keep it."""
    is_limited = any(call.task == "bench.crawl" for call in settings.workload.calls)
    return {} if is_limited else {"FASTWORKER_BENCH_HOST_RATE": ""}


def _fleet(
    app: FastWorker, settings: BenchSettings, queue: str, environment: Mapping[str, str]
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


def _probe(stack: ExitStack, url: str) -> Probe | None:
    found: Probe | None = RedisProbe(url) if probes.is_redis(url) else server_process.find(url)
    if found is not None:
        stack.callback(found.close)
    return found
