"""From an application and the command line's options to the settings of a worker."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastworker import _core, greenlets
from fastworker.app import amqp
from fastworker.app.revokes import RevokeTerms
from fastworker.child.main import SHARED
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.banner import Facts, LaneFacts, banner
from fastworker.worker.copies import fanouts_of
from fastworker.worker.cores import choose_concurrency
from fastworker.worker.direct import direct_queue
from fastworker.worker.hooks import Hooks
from fastworker.worker.patience import patience, patience_at_start
from fastworker.worker.queue_terms import QueueTerms
from fastworker.worker.settings import (
    MOST_SLOTS,
    WorkerSettings,
    lifetime,
    naive_offset_s,
    prefetch_of,
    seconds,
    task_settings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastworker.app.app import FastWorker
    from fastworker.worker.lane import Lane
    from fastworker.worker.options import WorkerOptions
    from fastworker.worker.settings import TaskSettings


def load_tasks(app: FastWorker, include: Sequence[str]) -> None:
    """Import every module that defines tasks, as the settings and ``--include`` name them, and finalise ``app``."""
    app.import_task_modules(include)
    app.finalize()


def refuse_memory(app: FastWorker) -> None:
    """A worker that is a process of its own shares no memory with its clients.

    Raises:
        ImproperlyConfigured: Broker or result store are in memory.
    """
    urls = {"broker": app.broker.read_url, "result backend": app.broker.result_url or ""}
    for what, url in urls.items():
        if url.startswith(("memory:", "cache+memory:")):
            raise ImproperlyConfigured(
                f"{what} {url!r} is in the memory of one process, and a worker started by the command line is another "
                f"one than its clients: expected redis:// or sqlite://"
            )


def queues_of(app: FastWorker, options: WorkerOptions) -> list[str]:
    """The queues to consume: ``-Q``, else the configured ones, else the default one; without ``-X``'s. With
    ``worker_direct`` the worker's own in any case.
    """
    chosen = list(options.queues) or list(app.configured_queues())
    unknown = [name for name in options.exclude_queues if name not in chosen]
    if unknown:
        raise ImproperlyConfigured(
            f"-X excludes {', '.join(map(repr, unknown))}, which is not consumed: expected some of "
            f"{', '.join(map(repr, chosen))}"
        )
    kept = [name for name in chosen if name not in options.exclude_queues]
    if not kept:
        raise ImproperlyConfigured("-X excludes every queue: nothing is left to consume")
    return list(dict.fromkeys(with_direct(app, options.hostname, kept)))


def with_direct(app: FastWorker, node: str, queues: Sequence[str]) -> list[str]:
    """The same queues, and the one that leads to this worker alone, if workers have such."""
    direct = direct_queue(app, node)
    return list(queues) if direct is None else [*queues, direct.name]


@dataclass(frozen=True)
class Size:
    """How many children at the start, and how many messages held at most; each with its reason. ``autoscale``: most and
    fewest children, None for a fixed number. ``slots``: tasks that each child runs at once."""

    concurrency: int
    concurrency_reason: str
    prefetch: int
    prefetch_reason: str
    autoscale: tuple[int, int] | None = None
    slots: int = 1
    #: Tasks may share a child, also if it runs one at a time.
    is_shared: bool = False


#: Tasks at once in each process of the pools that wait for many, when nothing is said.
_WAITING = 100
#: How long a child that imports the application by itself has to get ready, in seconds, unless a setting says it.
_IMPORTING_S = 60.0
_POOLS_THAT_WAIT = ("asyncio", *greenlets.NAMES)


def size_of(app: FastWorker, options: WorkerOptions, *, is_embedded: bool = False) -> Size:
    """Children and prefetch, from the options, the settings or the machine.

    Args:
        app: Its settings.
        options: From the command line.
        is_embedded: The worker is in its client's process, where each thread is a child of its own.
    """
    if options.pool == "solo":
        return Size(1, "pool solo", *prefetch_of(app, 1, options.prefetch_multiplier))
    if options.pool in SHARED and not is_embedded:
        return _size_of_shared(app, options)
    if options.autoscale is not None:
        most, fewest = options.autoscale
        prefetch = prefetch_of(app, most, options.prefetch_multiplier)
        return Size(fewest, f"--autoscale, up to {most}", *prefetch, options.autoscale)
    chosen = choose_concurrency(options.concurrency, app.conf.worker_concurrency)
    prefetch = prefetch_of(app, chosen.count, options.prefetch_multiplier)
    return Size(chosen.count, chosen.reason, *prefetch)


def _size_of_shared(app: FastWorker, options: WorkerOptions) -> Size:
    """Where tasks share a process, the concurrency is that of each process; one unless something else is said. The
    bounds of ``--autoscale`` are of tasks at once, as in Celery, and processes come and go to keep them."""
    setting = app.conf.worker_concurrency
    is_open = not options.concurrency and (
        setting is None or str(setting).strip().lower() in ("auto", "0")
    )
    if is_open and options.pool in _POOLS_THAT_WAIT:
        slots, reason = _WAITING, options.pool
    else:
        chosen = choose_concurrency(options.concurrency, setting)
        slots, reason = chosen.count, chosen.reason
    if slots > MOST_SLOTS:
        raise ImproperlyConfigured(
            f"concurrency {slots} of each process: expected at most {MOST_SLOTS}; try more --processes"
        )
    if options.autoscale is None:
        processes = options.processes or app.conf.worker_processes or 1
        prefetch = prefetch_of(
            app, processes * slots, options.prefetch_multiplier, ahead_of=processes
        )
        return Size(processes, reason, *prefetch, slots=slots, is_shared=True)
    most, fewest = options.autoscale
    # Evenly, so that all of them together run as many as was said.
    processes = math.ceil(most / slots)
    slots = math.ceil(most / processes)
    bounds = (processes, math.ceil(fewest / slots) or 1)
    prefetch = prefetch_of(app, processes * slots, options.prefetch_multiplier, ahead_of=processes)
    reason = f"--autoscale, up to {processes} processes of {slots}"
    return Size(bounds[1], reason, *prefetch, bounds, slots, is_shared=True)


def autoscale_keepalive_s() -> float:
    """Seconds of little work after which an autoscaled pool shrinks; as in Celery, from the environment.

    Raises:
        ImproperlyConfigured: ``AUTOSCALE_KEEPALIVE`` is not a number of seconds.
    """
    text = os.environ.get("AUTOSCALE_KEEPALIVE", "30")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ImproperlyConfigured(
            f"environment variable AUTOSCALE_KEEPALIVE is {text!r}: expected a number of seconds; try 30"
        )
    return value


def worker_settings(
    app: FastWorker,
    options: WorkerOptions,
    size: Size,
    queues: list[str],
    reports_received: bool,
    revoked: Sequence[str] = (),
    is_lane: bool = False,
) -> WorkerSettings:
    """Everything that the Rust half is told, validated.

    Args:
        app: Its settings.
        options: From the command line; they come before the settings.
        size: Children and prefetch.
        queues: What is consumed.
        reports_received: Tell of each received task.
        revoked: Ids beside those that the broker remembers.
        is_lane: The node has others.

    Raises:
        ImproperlyConfigured: A setting cannot be used; the text names it.
    """
    conf = app.conf
    expires = lifetime(conf.result_expires, "result_expires")
    failure = conf.result_failure_expires
    broker = app.broker
    broker.prepare()
    terms = RevokeTerms.from_environment()
    queue_terms = QueueTerms.of(app, options)
    tasks, fanouts = task_settings(app), fanouts_of(app, queues, options.hostname)
    broker_options = broker.options
    if amqp.is_amqp(broker.read_url):
        _refuse_shared_limits(tasks)
        direct = direct_queue(app, options.hostname)
        broker_options = amqp.of_worker(broker_options, fanouts, direct)
    return WorkerSettings(
        node=options.hostname,
        broker_url=broker.read_url,
        broker_options=list(broker_options.items()),
        result_url=broker.result_url,
        result_options=list(broker.result_options.items()),
        patience_at_start=patience_at_start(conf),
        patience=patience(conf),
        retries_refusals=bool(conf.broker_channel_error_retry),
        cancels_severed=bool(conf.worker_cancel_long_running_tasks_on_connection_loss),
        queues=queues,
        fanouts=fanouts,
        queue_terms=[queue_terms[name] for name in queues],
        tasks=tasks,
        concurrency=size.concurrency,
        slots=max(size.slots, 2) if size.is_shared else size.slots,
        is_narrow=size.is_shared and size.slots == 1,
        max_tasks_per_child=_first(options.max_tasks_per_child, conf.worker_max_tasks_per_child),
        max_memory_per_child_kib=_first(
            options.max_memory_per_child, conf.worker_max_memory_per_child
        ),
        restarts=bool(conf.worker_pool_restarts),
        autoscale=size.autoscale,
        autoscale_keepalive_s=autoscale_keepalive_s(),
        prefetch=size.prefetch,
        lease_life_s=seconds(conf.worker_lease_life, "worker_lease_life") or 10.0,
        start_timeout_s=_start_timeout_s(app, options),
        stacks_after_s=seconds(conf.worker_stacks_after, "worker_stacks_after") or None,
        blocked_after_s=seconds(conf.worker_blocked_after, "worker_blocked_after") or None,
        warm_shutdown_s=seconds(conf.worker_warm_shutdown_timeout, "worker_warm_shutdown_timeout")
        or None,
        soft_shutdown_s=float(conf.worker_soft_shutdown_timeout or 0.0),
        soft_waits_when_idle=bool(conf.worker_enable_soft_shutdown_on_idle),
        max_deliveries=int(conf.task_max_deliveries),
        discards_unknown=conf.worker_unknown_tasks == "discard",
        eta_horizon_s=seconds(conf.worker_eta_horizon, "worker_eta_horizon") or 0.0,
        result_ttl_s=expires,
        failure_ttl_s=expires if failure is None else lifetime(failure, "result_failure_expires"),
        chord_ttl_s=app.backend.terms.chord_ttl_s,
        naive_offset_s=naive_offset_s(app),
        reports_received=reports_received,
        control_exchange=(
            app.control.mailbox.exchange if conf.worker_enable_remote_control else None
        ),
        revokes_max=terms.most,
        revoke_expires_s=terms.expires_s,
        revoked=list(revoked),
        event_exchange=conf.event_exchange,
        heartbeat_s=options.heartbeat_s,
        sends_task_events=bool(conf.worker_send_task_events),
        software=("fastworker", _core.__version__),
        reports_limited=is_lane,
        **Hooks.wanted(app),
    )


def _refuse_shared_limits(tasks: Sequence[TaskSettings]) -> None:
    """RabbitMQ has no counter that all workers see.

    Raises:
        ImproperlyConfigured: A task has a rate limit that all workers share.
    """
    for task in tasks:
        if task.rate_limit is not None and task.shares_rate_limit:
            raise ImproperlyConfigured(
                f"task {task.name!r} has a rate limit that all workers share, and RabbitMQ keeps no count for them: "
                f"use rate_limit_scope='worker' and no rate_limit_key, or a Redis broker"
            )


def _first(*values: int | None) -> int | None:
    """The first that says something."""
    return next((value for value in values if value is not None), None)


def _start_timeout_s(app: FastWorker, options: WorkerOptions) -> float | None:
    """How long a child has to get ready; longer by default where each imports the application by itself."""
    conf = app.conf
    imports_itself = options.pool in greenlets.NAMES or conf.worker_pool_start_method == "spawn"
    if imports_itself and "worker_proc_alive_timeout" not in conf.without_defaults():
        return _IMPORTING_S
    return seconds(conf.worker_proc_alive_timeout, "worker_proc_alive_timeout") or None


def threads_of_imports() -> list[str]:
    """Names of the threads that run beside this one: a fork copies none of them, but may copy a lock they hold."""
    own = os.getpid()
    names = []
    for entry in os.listdir("/proc/self/task"):
        if int(entry) != own:
            try:
                with open(f"/proc/self/task/{entry}/comm", encoding="utf-8") as comm:
                    names.append(comm.read().strip())
            except FileNotFoundError:
                continue
    return names


def banner_of(app: FastWorker, options: WorkerOptions, lanes: Sequence[Lane]) -> str:
    """What the worker says of itself at the start."""
    names = [name for name in sorted(app.tasks) if not name.startswith("celery.")]
    settings, size = lanes[0].settings, lanes[0].size
    has_lanes = lanes[0].name is not None
    return banner(
        Facts(
            node=options.hostname,
            version=_core.__version__,
            app=app.main or "default",
            broker=settings.broker_url,
            broker_reason=app.broker.reason,
            results=app.results_kept_at,
            concurrency=size.concurrency,
            slots=size.slots,
            concurrency_reason=size.concurrency_reason,
            prefetch=size.prefetch,
            prefetch_reason=size.prefetch_reason,
            queues=settings.queues,
            lease_s=settings.lease_life_s,
            is_acked_late=bool(app.conf.task_acks_late),
            fails_when_lost=app.conf.task_reject_on_worker_lost is False,
            max_deliveries=settings.max_deliveries,
            sends_events=bool(app.conf.worker_send_task_events),
            loglevel=options.loglevel,
            tasks=names if options.loglevel <= logging.INFO else (),
            lanes=[_facts_of(lane) for lane in lanes] if has_lanes else (),
        )
    )


def _facts_of(lane: Lane) -> LaneFacts:
    size = lane.size
    most = None if size.autoscale is None else size.autoscale[0]
    return LaneFacts(
        str(lane.name), lane.pool, size.concurrency, size.slots, most, size.prefetch, lane.queues
    )
