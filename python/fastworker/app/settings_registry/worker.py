"""worker_*: the worker node, its processes and its log; and the publish deadline, also ours."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

_LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
_TASK_LOG_FORMAT = (
    "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
)

_PROCESSES = [
    Setting(
        "concurrency",
        None,
        "any",
        "Tasks that run at once; unset or 'auto': one per available core. With the pools threads, asyncio, "
        "gevent and eventlet: tasks in each process; unset: 100, with threads one per core.",
        status="active",
    ),
    Setting(
        "pool",
        "prefork",
        "any",
        "What runs tasks: prefork (processes), threads, asyncio (coroutines), gevent, eventlet or solo (one at a time "
        "in the worker's process).",
        status="active",
    ),
    Setting(
        "lanes",
        None,
        "dict",
        "Pools of their own for some queues each, in one worker: by name, a dict of queues, pool, concurrency and, if "
        "wanted, processes, autoscale, prefetch_multiplier, max_tasks_per_child, max_memory_per_child.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "pool_start_method",
        "fork",
        "str",
        "How processes are made: forks, or programs that import the application each by itself.",
        choices=("fork", "spawn"),
        status="active",
    ),
    Setting("pool_putlocks", True, "bool", "Celery's lock around the pool's queue.", status="moot"),
    Setting(
        "pool_restarts",
        False,
        "bool",
        "Allow the pool_restart control command.",
        status="active",
    ),
    Setting(
        "max_tasks_per_child",
        None,
        "int",
        "Replace a child after this many tasks; unset: never.",
        status="active",
        low=1,
    ),
    Setting(
        "max_memory_per_child",
        None,
        "int",
        "Replace a child whose peak memory is larger after a task, KiB; unset: never.",
        status="active",
        low=1,
    ),
    Setting(
        "proc_alive_timeout",
        4.0,
        "float",
        "Seconds a new child has to get ready, worker_process_init included, before it is killed and replaced; 0: no "
        "bound.",
        status="active",
        low=0,
    ),
    Setting(
        "lost_wait",
        10.0,
        "float",
        "Seconds to wait for a dead child's result.",
        old=("CELERYD_WORKER_LOST_WAIT",),
        status="moot",
        low=0,
    ),
    Setting(
        "autoscaler",
        "celery.worker.autoscale:Autoscaler",
        "any",
        "Celery's class that grows and shrinks the pool; --autoscale is built in.",
        status="moot",
    ),
    Setting("agent", None, "any", "Class of an agent thread."),
    Setting(
        "consumer",
        "celery.worker.consumer:Consumer",
        "any",
        "Celery's consumer class.",
        status="moot",
    ),
    Setting("timer", None, "any", "Celery's timer class.", status="moot"),
    Setting(
        "timer_precision",
        1.0,
        "float",
        "Longest sleep of Celery's timer, seconds.",
        status="moot",
        low=0,
    ),
    Setting(
        "state_db",
        None,
        "str",
        "File that remembers revoked tasks between runs, beside what the broker remembers.",
        status="active",
    ),
]

_FETCHING = [
    Setting(
        "prefetch_multiplier",
        4,
        "int",
        "Messages to hold per process ahead of need; 0: no limit.",
        status="active",
        low=0,
    ),
    Setting("disable_prefetch", False, "bool", "Fetch only when a process is free."),
    Setting(
        "eta_task_limit",
        None,
        "int",
        "Tasks with a later eta to hold in memory.",
        status="moot",
        low=1,
    ),
    Setting(
        "enable_prefetch_count_reduction",
        True,
        "bool",
        "Hold fewer messages after a lost connection.",
        status="moot",
    ),
    Setting(
        "direct",
        False,
        "bool",
        "Give each worker a queue of its own.",
        old=("CELERY_WORKER_DIRECT",),
    ),
    Setting(
        "disable_rate_limits",
        False,
        "bool",
        "Ignore rate limits.",
        status="active",
        old=("CELERY_DISABLE_RATE_LIMITS",),
    ),
    Setting(
        "deduplicate_successful_tasks",
        False,
        "bool",
        "Do not run a redelivered task whose result is SUCCESS.",
    ),
    Setting(
        "detect_quorum_queues",
        True,
        "bool",
        "Use per-consumer prefetch when a queue is a quorum queue.",
    ),
    Setting(
        "cancel_long_running_tasks_on_connection_loss",
        False,
        "bool",
        "Kill late-acknowledged tasks when the broker connection is lost.",
    ),
    Setting(
        "soft_shutdown_timeout",
        0.0,
        "float",
        "Seconds that running tasks get when SIGQUIT, or a second Ctrl-C, asks for a cold shutdown.",
        status="active",
        low=0,
    ),
    Setting(
        "enable_soft_shutdown_on_idle",
        False,
        "bool",
        "Wait for that time even when nothing runs.",
        status="active",
    ),
    Setting(
        "enable_remote_control",
        True,
        "bool",
        "Answer inspect and control.",
        old=("CELERY_ENABLE_REMOTE_CONTROL",),
        status="active",
    ),
    Setting(
        "send_task_events",
        False,
        "bool",
        "Publish events about tasks.",
        old=("CELERY_SEND_EVENTS",),
        status="active",
    ),
]

_LOGGING = [
    Setting(
        "hijack_root_logger",
        True,
        "bool",
        "Replace the handlers of the root logger.",
        status="active",
    ),
    Setting(
        "log_color",
        None,
        "bool",
        "Colour the log; unset: when it goes to a terminal.",
        status="active",
    ),
    Setting("log_format", _LOG_FORMAT, "str", "Format of the worker's log lines.", status="active"),
    Setting("log_datefmt", None, "str", "strftime format of their times.", status="active"),
    Setting(
        "task_log_format",
        _TASK_LOG_FORMAT,
        "str",
        "Format of task loggers' lines.",
        status="active",
    ),
    Setting("task_log_datefmt", None, "str", "strftime format of their times.", status="active"),
    Setting(
        "redirect_stdouts",
        True,
        "bool",
        "Turn what tasks print into log lines.",
        old=("CELERY_REDIRECT_STDOUTS",),
        status="active",
    ),
    Setting(
        "redirect_stdouts_level",
        "WARNING",
        "any",
        "Level of those lines.",
        old=("CELERY_REDIRECT_STDOUTS_LEVEL",),
        status="active",
    ),
]

_OURS = [
    Setting(
        "cpu_affinity",
        None,
        "any",
        "Cores such as '0,2-5' or 'auto': each process keeps to one of them.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "stacks_after",
        3600.0,
        "seconds",
        "Log where a task is that has been running for so long; 0: never.",
        status="active",
        low=0,
        is_ours=True,
    ),
    Setting(
        "blocked_after",
        1.0,
        "seconds",
        "Pools asyncio, gevent, eventlet: log which task keeps its process for so long, and in which line; 0: never.",
        status="active",
        low=0,
        is_ours=True,
    ),
    Setting(
        "unknown_tasks",
        "keep",
        "str",
        "Messages of tasks that are not registered: keep them in the dead letters, or discard them as Celery does.",
        status="active",
        choices=("keep", "discard"),
        is_ours=True,
    ),
    Setting(
        "warm_shutdown_timeout",
        25.0,
        "seconds",
        "Seconds that running tasks get after SIGTERM; then they are killed and delivered again. 0: no bound.",
        status="active",
        low=0,
        is_ours=True,
    ),
    Setting(
        "log_style",
        "text",
        "str",
        "How log lines look: text, or one JSON object a line.",
        status="active",
        choices=("text", "json"),
        is_ours=True,
    ),
    Setting(
        "processes",
        None,
        "int",
        "Processes of the pools threads, asyncio, gevent and eventlet, whose tasks share a process; unset: one.",
        status="active",
        low=1,
        is_ours=True,
    ),
    Setting(
        "prefetch",
        None,
        "int",
        "Messages this node may hold unsettled; unset: chosen from concurrency and multiplier.",
        status="active",
        low=1,
        is_ours=True,
    ),
    Setting(
        "lease_life",
        10.0,
        "seconds",
        "How long a dead worker's messages stay its own before others take them.",
        status="active",
        low=1,
        is_ours=True,
    ),
    Setting(
        "queue_limits",
        None,
        "dict",
        "By queue: most of its tasks that run at once in a worker; the rest stays in the broker.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "queue_weights",
        None,
        "dict",
        "By queue: its part of what a worker fetches from queues that have something; 1 if not listed.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "eta_horizon",
        5.0,
        "seconds",
        "Messages due later than this are parked in the broker instead of held.",
        status="active",
        low=0,
        is_ours=True,
    ),
]

WORKER = group("worker", "CELERYD_", [*_PROCESSES, *_FETCHING, *_LOGGING, *_OURS])

PUBLISHING = group(
    "broker",
    "BROKER_",
    [
        Setting(
            "publish_deadline",
            10.0,
            "seconds",
            "How long a publish may take, attempts included, before OperationalError.",
            status="active",
            low=0,
            is_ours=True,
        ),
    ],
)
