"""A pool, the queues that it serves, and the Rust worker between them. A node has one of them, or several lanes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.worker.startup import threads_of_imports

if TYPE_CHECKING:
    import socket

    from fastworker.worker.logs import LogPlan
    from fastworker.worker.options import WorkerOptions
    from fastworker.worker.settings import WorkerSettings
    from fastworker.worker.startup import Size
    from fastworker.worker.zygote_keeper import ZygoteKeeper


logger = logging.getLogger("fastworker.worker")


class Lane:
    """One of them.

    Args:
        name: None: the only one of a worker that has no lanes.
        options: Those of a worker that were this lane alone.
        size: Its children and its prefetch.
        settings: What its Rust half is told.
        keeper: Of its zygote; None: its tasks run in threads of this process.

    Attributes:
        queues: Names of the queues that are consumed.
        autoscale: Most and fewest children, when the pool scales by itself.
        is_ready: It has consumed.
        is_finished: Its Rust half has ended.
    """

    def __init__(
        self,
        name: str | None,
        options: WorkerOptions,
        size: Size,
        settings: WorkerSettings,
        keeper: ZygoteKeeper | None,
    ) -> None:
        self.name = name
        self.options = options
        self.size = size
        self.settings = settings
        self.keeper = keeper
        self.queues = list(settings.queues)
        self.autoscale = settings.autoscale
        self.is_ready = False
        self.is_finished = False
        #: For lines of the log that are about this lane.
        self.log_extra = None if name is None else {"worker_lane": name}
        self._core: _core.Worker | None = None

    @property
    def core(self) -> _core.Worker:
        """The Rust half. Commands come from it, so that it is there by then."""
        assert self._core is not None, "a command came before the worker was started"
        return self._core

    def hold(self, zygote: tuple[socket.socket, int] | None, pulse: _core.NodePulse) -> None:
        """Make the Rust half: with this zygote, or, None, with threads of this process. ``pulse``: the node's."""
        if zygote is None:
            self._core = _core.Worker(self.settings, pulse=pulse)
        else:
            words, pid = zygote
            self._core = _core.Worker(self.settings, words.detach(), pid, pulse=pulse)

    @property
    def has_core(self) -> bool:
        """The Rust half is made."""
        return self._core is not None

    @property
    def concurrency(self) -> int:
        """Tasks that run at once, at the start."""
        return self.size.concurrency * self.size.slots

    @property
    def pool(self) -> str:
        """What runs tasks; Celery's word."""
        return "prefork" if self.options.pool == "processes" else self.options.pool

    def set_autoscale(self, most: int, fewest: int) -> None:
        """Other bounds."""
        self.autoscale = (most, fewest)
        self.core.resize(max=most, min=fewest)

    def restart(self, modules: Sequence[str]) -> None:
        """Have all children replaced by others that import the application anew; see ``ZygoteKeeper.another``.

        Raises:
            NotImplementedError: There are no children.
        """
        if self.keeper is None:
            raise NotImplementedError(f"pool {self.pool} has no processes that could be replaced")
        words, pid = self.keeper.another(modules)
        self.core.restart(words.detach(), pid)

    def adopt_next_zygote(self) -> None:
        """The last one died: here is another."""
        assert self.keeper is not None, "only a zygote can die"
        words, pid = self.keeper.next()
        self.core.adopt_zygote(words.detach(), pid)


def first_zygotes(
    lanes: Sequence[Lane], log_plan: LogPlan | None
) -> list[tuple[socket.socket, int] | None]:
    """Start the zygote of each lane that has one, all of them before any runtime."""
    threads = threads_of_imports()
    if threads and any(lane.keeper is not None and lane.keeper.forks for lane in lanes):
        logger.warning(
            "importing the application started %d thread(s) (%s): a fork does not copy them, and locks they hold "
            "stay locked in the children. Start them in worker_process_init instead, or run with "
            "--pool-start-method spawn.",
            len(threads),
            ", ".join(threads),
        )
    zygotes: list[Any] = []
    for lane in lanes:
        others = [words for words, _ in filter(None, zygotes)]
        zygotes.append(None if lane.keeper is None else lane.keeper.first(log_plan, others))
    return zygotes
