"""The control commands of a worker; Celery's names, arguments and replies, and its public path for adding others.

Source: celery/worker/control.py; celery-contract 8.2 to 8.4. A command that is not here is answered as Celery answers
an unknown one: ``{"error": "KeyError('name')"}``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from datetime import time as clock_time
from typing import Any

from fastworker._core import dumps
from fastworker.app.control import TERM_SIGNAME, stamp_pairs
from fastworker.app.revokes import RevokeTerms
from fastworker.app.signum import signum
from fastworker.errors import BackendError, ImproperlyConfigured, KombuError
from fastworker.rates import per_second
from fastworker.serialize.saferepr import saferepr
from fastworker.worker.bench_command import bench_record
from fastworker.worker.bindings import declare
from fastworker.worker.copies import name_at_broker
from fastworker.worker.lanes import UnknownLane
from fastworker.worker.memory_commands import memdump, memsample, objgraph
from fastworker.worker.node_info import (
    autoscaler_info,
    broker_info,
    pool_info,
    resource_usage,
)
from fastworker.worker.panel import (
    NO_REPLY,
    CommandInfo,
    Panel,
    State,
    control_command,
    inspect_command,
)
from fastworker.worker.queue_info import queue_info
from fastworker.worker.request import HeldRequest
from fastworker.worker.workload_command import workload

__all__ = [
    "CommandInfo",
    "Panel",
    "State",
    "bench_record",
    "control_command",
    "inspect_command",
    "memdump",
    "memsample",
    "objgraph",
    "workload",
]

logger = logging.getLogger("fastworker.worker.control")

_DEFAULT_TASK_INFO_ITEMS = ("exchange", "routing_key", "rate_limit")


def ok(value: Any) -> dict[str, Any]:
    """It was done."""
    return {"ok": value}


def nok(value: Any) -> dict[str, Any]:
    """It was not."""
    return {"error": value}


def _flag(text: str) -> bool:
    return text.lower() in ("1", "t", "true", "y", "yes", "on")


def _maybe_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


# ---------------------------------------------------------------------------------------------------------- revokes


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    state: State, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any
) -> dict[str, Any]:
    """Revoke task by task id (or list of ids)."""
    task_ids = {str(one) for one in _maybe_list(task_id)}
    number = signum(signal or TERM_SIGNAME) if terminate else None
    held = _revoke(state, sorted(task_ids), [], number)
    active = {request.id for request in held if request.stage == "active"}
    _store_revoked(state, task_ids - active)
    if not terminate:
        logger.info("Tasks flagged as revoked: %s", ", ".join(task_ids))
        return ok(f"tasks {task_ids} flagged as revoked")
    terminated = list(dict.fromkeys(request.id for request in held))
    for one in terminated:
        logger.info("Terminating %s (%s)", one, number)
    return ok("terminate: {}".format(", ".join(terminated) if terminated else "tasks unknown"))


@control_command(
    variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]"
)
def terminate(state: State, signal: Any, task_id: Any, **kwargs: Any) -> dict[str, Any]:
    """Terminate task by task id (or list of ids)."""
    return revoke(state, task_id, terminate=True, signal=signal)


@control_command(variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]")
def revoke_by_stamped_headers(
    state: State, headers: Any, terminate: bool = False, signal: Any = None, **kwargs: Any
) -> dict[str, Any]:
    """Revoke task by header (or list of headers)."""
    number = signum(signal or TERM_SIGNAME)
    if isinstance(headers, list):
        headers = {header.split("=")[0]: header.split("=")[1] for header in headers}
    held = _revoke(state, [], stamp_pairs(headers), number if terminate else None)
    if not terminate:
        return ok(f"headers {headers} flagged as revoked, but not terminated")
    terminated: defaultdict[str, set[Any]] = defaultdict(set)
    for request in held:
        stamps = request.headers.get("stamps") or {}
        for name, values in headers.items() if request.stage == "active" else ():
            common = set(_maybe_list(stamps.get(name))) & set(_maybe_list(values))
            if common:
                terminated[name].update(common)
    if not terminated:
        return ok(f"headers {headers} were not terminated")
    return ok(f"headers {terminated} revoked")


def _revoke(
    state: State, ids: list[str], stamps: list[tuple[str, str]], terminate: int | None
) -> list[HeldRequest]:
    """Nothing of it starts any more when this returns, here or in a worker that starts later; what was held of it. What
    runs elsewhere is terminated only if the command was for every node."""
    if terminate is not None and not state.node.can_terminate:
        raise NotImplementedError("tasks that run in threads cannot be terminated")
    held = state.node.core.revoke(ids, stamps, terminate)
    terms = RevokeTerms.from_environment()
    # Others read it when they were cut off for a while.
    remembered = None if state.is_addressed else terminate
    try:
        state.app.control.mailbox.client.mark_revoked(
            ids, stamps, remembered, terms.expires_s, terms.most
        )
        # What is parked may be due after the revoke is forgotten.
        state.app.parked.revoked(*ids)
    except (BackendError, KombuError) as exc:
        logger.warning("the broker does not remember that tasks are revoked: %s", exc)
    state.node.note_revoked(ids)
    return [HeldRequest(state.app, state.hostname, task) for task in held]


def _store_revoked(state: State, task_ids: Iterable[str]) -> None:
    """Whoever waits for a task that nobody has started learns at once that it will not run."""
    backend = state.app.backend
    for task_id in task_ids:
        try:
            backend.mark_waiting_as_revoked(task_id)
        except (BackendError, KombuError) as exc:
            logger.warning("Failed to mark task %s as revoked in backend: %s", task_id, exc)


# ------------------------------------------------------------------------------------------------- limits and queues


@control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
)
def rate_limit(state: State, task_name: str, rate_limit: Any, **kwargs: Any) -> dict[str, Any]:
    """Tell worker(s) to modify the rate limit for a task by type."""
    try:
        rate = per_second(rate_limit, f"task {task_name!r}")
    except ImproperlyConfigured as exc:
        return nok(f"Invalid rate limit string: {exc!r}")
    task = state.app.tasks.get(task_name)
    if state.app.conf.worker_disable_rate_limits:
        rate = None
    if task is None or not state.node.core.set_rate(task_name, rate):
        logger.error("Rate limit attempt for unknown task %s", task_name)
        return nok("unknown task")
    task.rate_limit = rate_limit
    if not rate_limit:
        logger.info("Rate limits disabled for tasks of type %s", task_name)
        return ok("rate limit disabled successfully")
    logger.info("New rate limit for tasks of type %s: %s.", task_name, rate_limit)
    return ok("new rate limit set successfully")


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: State,
    task_name: str | None = None,
    hard: float | None = None,
    soft: float | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Tell worker(s) to modify the time limit for task by type."""
    task = state.app.tasks.get(task_name) if task_name else None
    if task is None or not state.node.core.set_limits(str(task_name), soft, hard):
        logger.error("Change time limit attempt for unknown task %s", task_name)
        return nok("unknown task")
    task.soft_time_limit, task.time_limit = soft, hard
    logger.info("New time limits for tasks of type %s: soft=%s hard=%s", task_name, soft, hard)
    return ok("time limits set successfully")


@inspect_command()
def active_queues(state: State) -> list[dict[str, Any]]:
    """List the task queues a worker is currently consuming from."""
    table = state.app.publishing.settings.queues
    paused = state.app.control.paused_queues()
    most = state.app.conf.task_queue_max_priority
    infos = []
    for name in state.node.queues:
        info = queue_info(table, name, most)
        if name_at_broker(state.app, name, state.hostname) in paused:
            info["paused"] = True
        lane = state.node.lane_of(name)
        infos.append(info if lane is None else {**info, "lane": lane})
    return infos


@control_command(
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(
    state: State,
    queue: str,
    exchange: str | None = None,
    exchange_type: str | None = None,
    routing_key: str | None = None,
    lane: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Tell worker(s) to consume from task queue by name."""
    node = state.node
    try:
        node.unit(lane, queue)
    except UnknownLane as exc:
        return nok(str(exc))
    table = state.app.publishing.settings.queues
    table.add(queue, exchange or queue, exchange_type or "direct", routing_key or queue)
    if queue not in node.queues:
        node.consume(queue, lane)
        node.queues.append(queue)
        declare(state.app, [queue], state.hostname)
        logger.info("Started consuming from %s", queue)
    return ok(f"add consumer {queue}")


@control_command(args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: State, queue: str, **kwargs: Any) -> dict[str, Any]:
    """Tell worker(s) to stop consuming from task queue by name."""
    logger.info("Canceling queue %s", queue)
    if queue in state.node.queues:
        state.node.queues.remove(queue)
        state.node.core.give_back(queue, is_cancelled=True)
    return ok(f"no longer consuming from {queue}")


@control_command(args=[("queue", str)], signature="<queue>")
def pause_queue(state: State, queue: str, **kwargs: Any) -> dict[str, Any]:
    """Pause a queue for all workers until it is resumed; what runs may finish."""
    own = name_at_broker(state.app, queue, state.hostname)
    state.app.control.mailbox.client.pause_queue(own)
    if state.node.core.give_back(queue, is_cancelled=False):
        logger.info("Queue %s is paused", queue)
    return ok(f"queue {queue} is paused")


@control_command(args=[("queue", str)], signature="<queue>")
def resume_queue(state: State, queue: str, **kwargs: Any) -> dict[str, Any]:
    """End the pause of a queue."""
    own = name_at_broker(state.app, queue, state.hostname)
    state.app.control.mailbox.client.resume_queue(own)
    logger.info("Queue %s is resumed", queue)
    return ok(f"queue {queue} is resumed")


# --------------------------------------------------------------------------------------------------------- the pool


@control_command(args=[("n", int)], signature="[N=1]")
def pool_grow(state: State, n: int = 1, lane: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """Grow pool by n processes/threads."""
    return _resize(state, "grow", n, n, lane)


@control_command(args=[("n", int)], signature="[N=1]")
def pool_shrink(state: State, n: int = 1, lane: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """Shrink pool by n processes/threads."""
    return _resize(state, "shrink", n, -n, lane)


def _resize(state: State, verb: str, n: int, more: int, lane: str | None) -> dict[str, Any]:
    try:
        unit = state.node.unit(lane)
    except UnknownLane as exc:
        return nok(str(exc))
    if unit.autoscale is not None:
        return nok(f"pool_{verb} is not supported with autoscale. Adjust autoscale range instead.")
    if n > 0:
        unit.core.resize(more)
    return ok(f"pool will {verb}")


@control_command()
def pool_restart(
    state: State,
    modules: Any = None,
    reload: bool = False,
    reloader: Any = None,
    lane: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Restart execution pool."""
    # New processes read all code anew: ``reload`` and ``reloader`` have nothing left to say.
    if not state.app.conf.worker_pool_restarts:
        raise ValueError("Pool restarts not enabled")
    try:
        units = state.node.units(lane)
    except UnknownLane as exc:
        return nok(str(exc))
    for unit in units:
        unit.restart([str(module) for module in _maybe_list(modules)])
    return ok("reload started")


@control_command(args=[("max", int), ("min", int)], signature="[max [min]]")
def autoscale(
    state: State, max: int | None = None, min: int | None = None, lane: str | None = None
) -> dict[str, Any]:
    """Modify autoscale settings."""
    try:
        unit = state.node.unit(lane)
    except UnknownLane as exc:
        return nok(str(exc))
    bounds = unit.autoscale
    if bounds is None:
        raise ValueError("Autoscale not enabled")
    most, fewest = (bounds[0] if max is None else max), (bounds[1] if min is None else min)
    unit.set_autoscale(most, fewest)
    return ok(f"autoscale now max={most} min={fewest}")


# ------------------------------------------------------------------------------------------------------- the worker


@control_command()
def election(state: State, id: str, topic: str, action: Any = None, **kwargs: Any) -> None:
    """Hold election."""
    logger.warning(
        "Election %r (topic %r): fastworker's workers take no part in Celery's gossip, and elect nobody; for work "
        "that one node does, use a queue that one node consumes",
        id,
        topic,
    )


@control_command()
def shutdown(state: State, msg: str = "Got shutdown from remote", **kwargs: Any) -> object:
    """Shutdown worker(s)."""
    state.node.stop_by_remote(msg)
    return NO_REPLY


@inspect_command(default_timeout=0.2)
def ping(state: State, **kwargs: Any) -> dict[str, str]:
    """Ping worker(s)."""
    return ok("pong")


# ------------------------------------------------------------------------------------------------------------ events


@control_command()
def enable_events(state: State) -> dict[str, Any]:
    """Tell worker(s) to send task-related events."""
    if state.node.core.tell_of_tasks(True):
        logger.info("Events of group {task} enabled by remote.")
        return ok("task events enabled")
    return ok("task events already enabled")


@control_command()
def disable_events(state: State) -> dict[str, Any]:
    """Tell worker(s) to stop sending task-related events."""
    if state.node.core.tell_of_tasks(False):
        logger.info("Events of group {task} disabled by remote.")
        return ok("task events disabled")
    return ok("task events already disabled")


@control_command()
def heartbeat(state: State) -> None:
    """Tell worker(s) to send event heartbeat immediately."""
    logger.debug("Heartbeat requested by remote.")
    state.node.core.beat()


@inspect_command()
def clock(state: State, **kwargs: Any) -> dict[str, int]:
    """Get current logical clock value."""
    return {"clock": state.app.clock.value}


@inspect_command(
    alias="dump_conf",
    signature="[include_defaults=False]",
    args=[("with_defaults", _flag)],
)
def conf(state: State, with_defaults: bool = False, **kwargs: Any) -> dict[str, Any]:
    """List configuration."""
    table = state.app.settings_table(with_defaults)
    return {name: _shown(value) for name, value in table.items() if not name.startswith("__")}


def _shown(value: Any) -> Any:
    """A value of a setting, or as text what JSON has no form for; as Celery's ``jsonify`` shows it."""
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, date | clock_time):
        return value.isoformat()
    try:
        dumps(value)
    except (TypeError, ValueError):
        return saferepr(value)
    return value


@inspect_command()
def report(state: State) -> dict[str, str]:
    """Information about fastworker installation for bug reports."""
    from fastworker.worker.bugreport import report_lines

    return ok("\n".join(report_lines(state.app, with_defaults=False)))


@inspect_command()
def stats(state: State, **kwargs: Any) -> dict[str, Any]:
    """Request worker statistics/information."""
    import os

    node, snapshot = state.node, state.node.core.snapshot()
    lanes = node.lane_stats(snapshot.get("lanes", {}))
    autoscaler = {} if lanes else autoscaler_info(node.unit(None).autoscale, len(snapshot["pids"]))
    return {
        **autoscaler,
        "total": snapshot["total"],
        "pid": os.getpid(),
        "clock": str(state.app.clock.value),
        "uptime": round(node.uptime_s),
        "pool": pool_info(state.app, node.pool, node.concurrency, snapshot),
        **({"lanes": lanes} if lanes else {}),
        "broker": broker_info(state.app),
        "prefetch_count": node.prefetch,
        "rusage": resource_usage(),
    }


@inspect_command(visible=False)
def hello(
    state: State, from_node: str, revoked: Any = None, **kwargs: Any
) -> dict[str, Any] | None:
    """Request mingle sync-data."""
    if from_node == state.hostname:
        return None
    logger.info("sync with %s", from_node)
    if revoked:
        _revoke(state, [str(task_id) for task_id in revoked], [], None)
    return {"revoked": state.node.core.snapshot()["revoked"], "clock": state.app.clock.forward()}


# -------------------------------------------------------------------------------------------------------------- tasks


def _requests(state: State, stage: str | None = None) -> list[HeldRequest]:
    requests = (
        HeldRequest(state.app, state.hostname, task) for task in state.node.core.snapshot()["tasks"]
    )
    return [request for request in requests if stage in (None, request.stage)]


@inspect_command(alias="dump_active")
def active(state: State, safe: bool = False, **kwargs: Any) -> list[dict[str, Any]]:
    """List of tasks currently being executed."""
    return [request.info(safe=bool(safe)) for request in _requests(state, "active")]


@inspect_command(alias="dump_reserved")
def reserved(state: State, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently reserved tasks, not including scheduled/active."""
    return [request.info() for request in _requests(state, "reserved")]


@inspect_command(alias="dump_schedule")
def scheduled(state: State, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks."""
    requests = sorted(_requests(state, "scheduled"), key=lambda request: request.eta_ms or 0)
    return [
        {"eta": request.headers.get("eta"), "priority": 6, "request": request.info()}
        for request in requests
    ]


@inspect_command(variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(state: State, ids: Any, **kwargs: Any) -> dict[str, Any]:
    """Query for task information by id."""
    wanted = {str(one) for one in _maybe_list(ids)}
    return {
        request.id: (request.stage, request.info())
        for request in _requests(state)
        if request.id in wanted
    }


@inspect_command(alias="dump_revoked")
def revoked(state: State, **kwargs: Any) -> list[str]:
    """List of revoked task-ids."""
    ids: list[str] = state.node.core.snapshot()["revoked"]
    return ids


@inspect_command(
    alias="dump_tasks", variadic="taskinfoitems", signature="[attr1 [attr2 [... [attrN]]]]"
)
def registered(
    state: State, taskinfoitems: Any = None, builtins: bool = False, **kwargs: Any
) -> list[str]:
    """List of registered tasks."""
    items = [
        item
        for item in taskinfoitems or _DEFAULT_TASK_INFO_ITEMS
        if isinstance(item, str) and not item.startswith("_")
    ]
    tasks = state.app.tasks

    def info(name: str) -> str:
        values = ((item, getattr(tasks[name], item, None)) for item in items)
        fields = [f"{item}={value}" for item, value in values if value is not None]
        return f"{name} [{' '.join(fields)}]" if fields else name

    return [info(name) for name in sorted(tasks) if builtins or not name.startswith("celery.")]
