"""The worker's settings as they cross to Rust: validated here, trusted there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastworker.app.batch_options import batch_terms
from fastworker.app.rate_limits import is_shared
from fastworker.errors import ImproperlyConfigured
from fastworker.rates import per_second
from fastworker.worker.copies import Fanout
from fastworker.worker.patience import Patience

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Messages held ahead of each child when nothing else is said: enough that a fetch of half of them keeps a child with
#: no-op tasks busy for as long as the next fetch takes. Unlike Celery's prefetch it blocks nobody: what no child here
#: can take soon goes back to its queue.
AUTOMATIC_PREFETCH = 512
#: Most tasks that one child can run at once; as in ``rust/link/src/page.rs``.
MOST_SLOTS = 65_536


@dataclass(frozen=True)
class TaskSettings:
    """One registered task's options that the parent decides by. Limits in seconds."""

    name: str
    acks_late: bool
    acks_on_failure: bool
    #: A hard time limit ends the message; False: it runs again, a bounded number of times.
    acks_on_timeout: bool
    #: Run again, a bounded number of times, when the process died; only an explicit False says no.
    runs_again_when_lost: bool
    soft_time_limit: float | None
    time_limit: float | None
    ignore_result: bool
    stores_errors: bool
    #: Events tell of it, where they tell of tasks.
    sends_events: bool
    #: Starts a second; None: no limit.
    rate_limit: float | None
    #: The limit counts the starts of all workers together, for each key.
    shares_rate_limit: bool
    #: Other workers may limit it, and put what is over its rate into lanes.
    has_lanes: bool
    #: Most messages that one function call gets, and how long a message waits for others (s); None: no batches.
    batch: tuple[int, float] | None


@dataclass(frozen=True)
class WorkerSettings:
    """Everything that the Rust half of a worker is told. Field names are read by ``rust/py/src/worker.rs``."""

    node: str
    broker_url: str
    broker_options: list[tuple[str, str]]
    result_url: str | None
    result_options: list[tuple[str, str]]
    #: How long a broker is waited for that is away at the start, and one that goes away later; see ``patience.py``.
    patience_at_start: Patience
    patience: Patience
    #: A broker that refuses at the start is tried again like one that is away.
    retries_refusals: bool
    #: What runs when a connection is lost that held its lease is ended.
    cancels_severed: bool
    queues: list[str]
    #: Those of them that get copies of what is published to a fanout exchange; see ``copies.py``.
    fanouts: list[tuple[str, Fanout]]
    #: By queue: its limit (None: there is none) and its weight.
    queue_terms: list[tuple[int | None, int]]
    tasks: list[TaskSettings]
    concurrency: int
    max_tasks_per_child: int | None
    max_memory_per_child_kib: int | None
    #: The command ``pool_restart`` may come.
    restarts: bool
    autoscale: tuple[int, int] | None
    autoscale_keepalive_s: float
    prefetch: int
    lease_life_s: float
    start_timeout_s: float | None
    stacks_after_s: float | None
    blocked_after_s: float | None
    warm_shutdown_s: float | None
    soft_shutdown_s: float
    soft_waits_when_idle: bool
    max_deliveries: int
    discards_unknown: bool
    eta_horizon_s: float
    result_ttl_s: int | None
    failure_ttl_s: int | None
    chord_ttl_s: int | None
    naive_offset_s: int
    reports_received: bool
    control_exchange: str | None
    revokes_max: int
    revoke_expires_s: float
    revoked: list[str]
    event_exchange: str
    #: Seconds between heartbeats; None: events tell nothing of the worker itself.
    heartbeat_s: float | None
    sends_task_events: bool
    #: What monitors are told of the software: its name and version.
    software: tuple[str, str]
    #: Tasks for which one child has places; with several, it is told by frames whom to interrupt, not by signals.
    slots: int = 1
    #: It runs one at a time all the same.
    is_narrow: bool = False
    #: What of it the user's hooks want to be told of; see ``hooks.py``.
    reports_calls: bool = False
    reports_expired: bool = False
    reports_unknown: bool = False
    reports_rejected: bool = False
    reports_heartbeats: bool = False
    #: Tell of the tasks that come and have a rate limit of each worker, each once.
    reports_limited: bool = False


def seconds(value: timedelta | float | int | None, name: str) -> float | None:
    """A setting that may be a number of seconds or a timedelta, in seconds; None stays None."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ImproperlyConfigured(
            f"setting {name} is {value!r}: expected a number of seconds or a timedelta"
        ) from None


def lifetime(value: timedelta | float | int | None, name: str) -> int | None:
    """How long results live, in whole seconds; None and 0 keep them for ever."""
    number = seconds(value, name)
    return None if not number else max(1, round(number))


def prefetch_of(
    app: FastWorker, concurrency: int, multiplier: int | None, ahead_of: int | None = None
) -> tuple[int, str]:
    """How many messages are held at most, and why.

    Args:
        app: Its settings.
        concurrency: Tasks that run at once.
        multiplier: From the command line.
        ahead_of: Children; None: one for each task.
    """
    setting = app.conf.worker_prefetch
    if app.conf.worker_disable_prefetch:
        return concurrency, "worker_disable_prefetch"
    if multiplier is None and setting is not None:
        return max(int(setting), concurrency), "setting worker_prefetch"
    if multiplier is None and "worker_prefetch_multiplier" not in app.conf.without_defaults():
        if ahead_of is None:
            return AUTOMATIC_PREFETCH * concurrency, "automatic"
        return AUTOMATIC_PREFETCH * ahead_of + concurrency, "automatic"
    chosen = multiplier if multiplier is not None else int(app.conf.worker_prefetch_multiplier)
    if chosen < 0:
        raise ImproperlyConfigured(
            f"worker_prefetch_multiplier is {chosen}: expected 0 (no bound) or more; try 4"
        )
    if chosen == 0:
        return 65_536, "worker_prefetch_multiplier = 0"
    return max(chosen * concurrency, concurrency), f"worker_prefetch_multiplier = {chosen}"


def task_settings(app: FastWorker) -> list[TaskSettings]:
    """The options of every registered task.

    Raises:
        ImproperlyConfigured: One of them cannot be used; the error names it and its task.
    """
    conf = app.conf
    default_soft = seconds(conf.task_soft_time_limit, "task_soft_time_limit")
    default_hard = seconds(conf.task_time_limit, "task_time_limit")
    is_unlimited = bool(conf.worker_disable_rate_limits)

    def of(name: str, task: Any) -> TaskSettings:
        soft = seconds(task.soft_time_limit, f"soft_time_limit of task {name}")
        limit = per_second(task.rate_limit, f"task {name!r}")
        hard = seconds(task.time_limit, f"time_limit of task {name}")
        retries_lost = bool(task.retry_on_worker_lost)
        return TaskSettings(
            name=name,
            acks_late=bool(task.acks_late),
            acks_on_failure=bool(task.acks_on_failure),
            acks_on_timeout=bool(task.acks_on_timeout),
            runs_again_when_lost=not retries_lost and task.reject_on_worker_lost is not False,
            soft_time_limit=soft if soft is not None else default_soft,
            time_limit=hard if hard is not None else default_hard,
            ignore_result=bool(task.ignore_result),
            stores_errors=bool(task.store_errors_even_if_ignored),
            sends_events=bool(task.send_events),
            rate_limit=None if is_unlimited else limit,
            shares_rate_limit=is_shared(task),
            has_lanes=limit is not None,
            batch=batch_terms(task),
        )

    return [of(name, task) for name, task in sorted(app.tasks.items())]


def naive_offset_s(app: FastWorker) -> int:
    """Offset from UTC, in seconds, of an ETA that is written without one."""
    offset = datetime.now(app.timezone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
