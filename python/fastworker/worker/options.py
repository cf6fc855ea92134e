"""What the command line tells a worker: one frozen object, from ``cli`` to ``worker.run``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastworker.worker.lane_spec import LaneSpec


@dataclass(frozen=True)
class WorkerOptions:
    """The worker command's options; None means that the command line did not say.

    Attributes:
        hostname: Node name, expanded: ``fastworker@box``.
        app_spec: What ``-A`` named; another process finds the application by it. Empty: made
            without ``-A``.
        loglevel: As in ``logging``.
        logfile: Path of the log, with its abbreviations still in it; None: standard error.
        log_format: ``text`` or ``json``; None: the setting ``worker_log_style``.
        concurrency: Child processes, or tasks in each process where they share one; None: the
            setting ``worker_concurrency``, else chosen from the machine.
        processes: Child processes where tasks share one; None: the setting ``worker_processes``.
        queues: The only queues to consume; empty: the configured ones.
        exclude_queues: Configured queues that are not consumed.
        pool: ``prefork``, ``threads``, ``asyncio``, ``gevent``, ``eventlet`` or ``solo``.
        lanes: Pools of their own for some queues each; empty: the setting ``worker_lanes``, else
            there is one pool for all queues.
        include: More modules to import.
        prefetch_multiplier: Messages to hold per child; None: the setting, else automatic.
        disable_prefetch: Hold no more than run; None: the setting.
        time_limit: Seconds; None: the setting.
        soft_time_limit: Seconds; None: the setting.
        disable_rate_limits: Run tasks as often as they come; None: the setting.
        queue_limit: Pairs of a queue and the most of its tasks that run at once here; before the
            setting ``worker_queue_limits``.
        queue_weight: Pairs of a queue and its part of what is fetched; before the setting
            ``worker_queue_weights``.
        purge: Empty the consumed queues before starting.
        pidfile: Path with abbreviations expanded.
        statedb: File that remembers revoked tasks; None: the setting ``worker_state_db``.
        task_events: Publish events about tasks; None: the setting.
        heartbeat_s: Seconds between events that tell of the worker itself; None: it sends none.
        autoscale: Most and fewest tasks at once, and so child processes; None: fixed.
        pool_start_method: ``fork`` or ``spawn``; None: the setting.
        cpu_affinity: As the setting ``worker_cpu_affinity``, which it overrides.
        max_tasks_per_child: Tasks after which a child is replaced; None: the setting.
        max_memory_per_child: KiB of peak memory beyond which a child is replaced; None: the
            setting.
        quiet: No banner.
        no_color: No colour anywhere.
    """

    hostname: str
    app_spec: str = ""
    loglevel: int = logging.WARNING
    logfile: str | None = None
    log_format: str | None = None
    concurrency: int | None = None
    processes: int | None = None
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    pool: str = "prefork"
    lanes: tuple[LaneSpec, ...] = ()
    include: tuple[str, ...] = ()
    prefetch_multiplier: int | None = None
    disable_prefetch: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    disable_rate_limits: bool | None = None
    queue_limit: tuple[tuple[str, int], ...] = ()
    queue_weight: tuple[tuple[str, int], ...] = ()
    purge: bool = False
    pidfile: str | None = None
    statedb: str | None = None
    task_events: bool | None = None
    heartbeat_s: float | None = None
    autoscale: tuple[int, int] | None = None
    pool_start_method: str | None = None
    cpu_affinity: str | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    quiet: bool = False
    no_color: bool = False

    def overrides(self) -> dict[str, Any]:
        """The options that are settings too, by the settings' names; what was not said is left out.

        Whoever finds the application again (a zygote that replaces another) has to apply them to
        its settings.
        """
        said = {
            "worker_lanes": {lane.name: lane.as_setting() for lane in self.lanes} or None,
            "worker_concurrency": self.concurrency,
            "worker_processes": self.processes,
            "worker_prefetch_multiplier": self.prefetch_multiplier,
            "worker_disable_prefetch": self.disable_prefetch,
            "worker_disable_rate_limits": self.disable_rate_limits,
            "worker_send_task_events": self.task_events,
            "worker_log_style": self.log_format,
            "task_time_limit": self.time_limit,
            "worker_pool_start_method": self.pool_start_method,
            "worker_cpu_affinity": self.cpu_affinity,
            "worker_max_tasks_per_child": self.max_tasks_per_child,
            "worker_max_memory_per_child": self.max_memory_per_child,
            "task_soft_time_limit": self.soft_time_limit,
        }
        return {name: value for name, value in said.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """All of them by name; what receivers of ``celeryd_init`` are given as ``options``."""
        return dict(vars(self))

    def logging(self) -> dict[str, Any]:
        """Arguments of ``worker.logs.set_up``, all of them JSON values."""
        return {
            "loglevel": self.loglevel,
            "logfile": self.logfile,
            "style": self.log_format,
            "no_color": self.no_color,
        }
