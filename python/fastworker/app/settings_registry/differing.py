"""Where fastworker does by default what Celery does not: values of Celery's settings that differ (a test holds every
other one equal), and what settings of ours change. One table in the reference page has them all.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A default that differs: Celery's value, ours, and the reason. Celery's value restores it."""

    celery: Any
    ours: Any
    reason: str


class Behaviour(NamedTuple):
    """What a worker does by default, where no default of Celery's could say it.

    Attributes:
        celery: What Celery does.
        ours: What fastworker does.
        reason: Why.
        restore: Value of the setting that restores Celery's way.
    """

    celery: str
    ours: str
    reason: str
    restore: Any


DIFFERING: dict[str, Difference] = {
    "task_acks_late": Difference(
        celery=False,
        ours=True,
        reason="Nothing is lost: a task whose process dies is delivered again, at most "
        "task_max_deliveries times. Set it to False for tasks that must never run twice.",
    ),
}

BEHAVIOURS: dict[str, Behaviour] = {
    "worker_warm_shutdown_timeout": Behaviour(
        celery="SIGTERM waits for running tasks as long as they take",
        ours="25 s, then they are killed and delivered again",
        reason="Kubernetes kills everything 30 s after SIGTERM: a worker that is still waiting then has told nobody "
        "what it held. This one has given it back.",
        restore=0,
    ),
    "task_reject_on_worker_lost": Behaviour(
        celery="unset: a late-acknowledged task whose process died fails at once",
        ours="unset: it runs again, started at most task_max_deliveries times",
        reason="A process dies of many things that are no fault of the task that it ran: the memory killer, a "
        "deployment, a neighbour in the container.",
        restore=False,
    ),
    "worker_unknown_tasks": Behaviour(
        celery="a message of an unknown task is thrown away, with a FAILURE",
        ours="it is kept in the dead letters, with the same FAILURE",
        reason="It is seldom the message that is wrong: a worker of an older version got it during a deployment. "
        "`fastworker dead retry` sends it again.",
        restore="discard",
    ),
    "worker_concurrency": Behaviour(
        celery="one process for each processor of the machine",
        ours="one for each that the CPU affinity and the cgroup's quota allow",
        reason="A container that may use two processors of 64 is not made faster by 64 processes.",
        restore="the number of processors",
    ),
    "worker_prefetch": Behaviour(
        celery="worker_prefetch_multiplier (4) messages for each process",
        ours="up to 512 for each process",
        reason="Fetching in batches is cheap, and blocks nobody: what no process here can take within a second goes "
        "back to its queue.",
        restore="4 times the number of processes",
    ),
}
