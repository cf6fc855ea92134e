"""How a queue is consumed: ``worker_queue_limits`` and ``worker_queue_weights``, and the options that say more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.worker.options import WorkerOptions


@dataclass(frozen=True)
class QueueTerms:
    """The terms of every queue, consumed or not.

    Attributes:
        limits: By queue: most of its tasks that run at once in this worker.
        weights: By queue: its part of what is fetched from queues that have something.
    """

    limits: Mapping[str, int]
    weights: Mapping[str, int]

    @classmethod
    def of(cls, app: FastWorker, options: WorkerOptions) -> QueueTerms:
        """The settings; what the command line says of a queue comes before them."""
        conf = app.conf
        return cls(
            {**(conf.worker_queue_limits or {}), **dict(options.queue_limit)},
            {**(conf.worker_queue_weights or {}), **dict(options.queue_weight)},
        )

    def __getitem__(self, queue: str) -> tuple[int | None, int]:
        """Limit (None: there is none) and weight of one queue, as the Rust half takes them."""
        limit = self.limits.get(queue)
        return None if limit is None else int(limit), int(self.weights.get(queue, 1))

    def unused(self, queues: Iterable[str]) -> list[str]:
        """Queues that have terms and are not among ``queues``."""
        return sorted({*self.limits, *self.weights}.difference(queues))
