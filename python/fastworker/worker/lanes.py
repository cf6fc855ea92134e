"""All lanes of a worker node as one: what is asked of the node is asked of each, and their answers are put together."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from fastworker import _core
from fastworker.errors import OperationalError, WorkerEnded
from fastworker.worker.copies import Fanout
from fastworker.worker.lane import Lane

T = TypeVar("T")

#: Broadcasts that are remembered, since every lane hears them.
_REMEMBERED = 1000


class UnknownLane(LookupError):
    """A command does not say which lane it is for, or names one that is not there."""


class Lanes:
    """The lanes of one node, at least one.

    Args:
        lanes: In their order.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = tuple(lanes)
        self._home = {queue: lane for lane in lanes for queue in lane.queues}
        self._heard: deque[bytes] = deque(maxlen=_REMEMBERED)
        #: Tasks with a rate limit of each worker, and the lanes to which they have come.
        self._limited: dict[str, list[Lane]] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    # ------------------------------------------------------------------------------------------------------- events

    def wait(self, timeout_s: float, alarm: int) -> list[tuple[Lane, str, dict[str, Any]]]:
        """Events of every lane; see ``_core.Worker.wait``."""
        events = _core.Worker.wait_any([lane.core for lane in self._lanes], timeout_s, alarm)
        return [(self._lanes[at], name, facts) for at, name, facts in events]

    def is_news(self, broadcast: bytes) -> bool:
        """It was not heard before: each lane has an ear, so that the node hears as long as one of them does."""
        if len(self._lanes) == 1:
            return True
        is_news = broadcast not in self._heard
        if is_news:
            self._heard.append(broadcast)
        return is_news

    # ----------------------------------------------------------------------------------------------------- commands

    def of(self, name: str | None, queue: str | None = None) -> Lane:
        """The lane that a command is for.

        Args:
            name: As the command says it; None: it does not.
            queue: It is about this one, which says it too if it is, or was, consumed here.

        Raises:
            UnknownLane: It is not clear which.
        """
        names = ", ".join(str(lane.name) for lane in self._lanes)
        home = None if queue is None else self._home.get(queue)
        if name is None:
            if len(self._lanes) == 1:
                return self._lanes[0]
            if home is None:
                raise UnknownLane(
                    f"this worker has the lanes {names}; expected one of them, as the argument "
                    f"lane={self._lanes[0].name!r}"
                )
            return home
        lane = next((lane for lane in self._lanes if lane.name == name), None)
        if lane is None:
            raise UnknownLane(
                f"this worker has no lane {name!r}; expected one of {names}"
                if self._lanes[0].name is not None
                else f"this worker has no lanes, so none that is called {name!r}; leave the argument lane out"
            )
        if home not in (None, lane) and queue in home.queues:
            raise UnknownLane(
                f"queue {queue!r} is consumed by the lane {home.name}; expected that one, or cancel_consumer before"
            )
        return lane

    def lane_of(self, queue: str) -> str | None:
        """The name of the lane that consumes a queue, or did; None without lanes."""
        home = self._home.get(queue)
        return None if home is None else home.name

    def consume(
        self, lane: Lane, queue: str, limit: int | None, weight: int, fanout: Fanout | None = None
    ) -> None:
        """Have a lane consume one more queue; see ``_core.Worker.consume``."""
        lane.core.consume(queue, limit, weight, fanout)
        lane.queues.append(queue)
        self._home[queue] = lane

    def give_back(self, queue: str, *, is_cancelled: bool) -> bool:
        """See ``_core.Worker.give_back``."""
        for lane in self._lanes:
            if is_cancelled and queue in lane.queues:
                lane.queues.remove(queue)
        return _any(self._ask(lambda core: core.give_back(queue, is_cancelled=is_cancelled)))

    def revoke(
        self, ids: Sequence[str], stamps: Sequence[tuple[str, str]], terminate: int | None
    ) -> list[dict[str, Any]]:
        """See ``_core.Worker.revoke``; what was held has its ``lane`` too."""
        answers = self._ask(lambda core: core.revoke(ids, stamps, terminate))
        return [{**task, "lane": lane.name} for lane, tasks in answers for task in tasks]

    def tell_of_tasks(self, tells: bool) -> bool:
        """See ``_core.Worker.tell_of_tasks``."""
        return _any(self._ask(lambda core: core.tell_of_tasks(tells)))

    def beat(self) -> None:
        """See ``_core.Worker.beat``; one lane speaks for the node."""
        self._lanes[0].core.beat()

    def set_limits(
        self, task: str, soft_time_limit: float | None, time_limit: float | None
    ) -> bool:
        """See ``_core.Worker.set_limits``."""
        return _any(self._ask(lambda core: core.set_limits(task, soft_time_limit, time_limit)))

    def set_rate(self, task: str, per_second: float | None) -> bool:
        """See ``_core.Worker.set_rate``. Lanes to which the task comes have equal parts of the rate."""
        sharers = self._limited.get(task, [])

        def part_of(lane: Lane) -> float | None:
            if per_second is None or lane not in sharers:
                return per_second
            return per_second / len(sharers)

        return _any(self._ask_lanes(lambda lane: lane.core.set_rate(task, part_of(lane))))

    def divide_rate(self, lane: Lane, task: str, per_second: float | None) -> list[Lane]:
        """A task with a rate limit of each worker comes to a lane: from now on that has its part of the rate.

        Returns:
            The lanes to which it has come, with this one.
        """
        sharers = self._limited.setdefault(task, [])
        if lane not in sharers:
            sharers.append(lane)
            if len(sharers) > 1:
                self.set_rate(task, per_second)
        return sharers

    def snapshot(self) -> dict[str, Any]:
        """See ``_core.Worker.snapshot``; tasks have their ``lane`` too, and ``lanes`` has the children of each, by
        name, if there are lanes."""
        answers = self._ask(lambda core: core.snapshot())
        total: Counter[str] = Counter()
        for _, answer in answers:
            total.update(answer["total"])
        return {
            "tasks": [
                {**task, "lane": lane.name} for lane, answer in answers for task in answer["tasks"]
            ],
            "revoked": list(dict.fromkeys(id for _, answer in answers for id in answer["revoked"])),
            "total": dict(total),
            "pids": [pid for _, answer in answers for pid in answer["pids"]],
            "writes": [count for _, answer in answers for count in answer["writes"]],
            "busy": sum(answer["busy"] for _, answer in answers),
            "lanes": {lane.name: answer for lane, answer in answers if lane.name is not None},
        }

    def _ask(self, question: Callable[[_core.Worker], T]) -> list[tuple[Lane, T]]:
        """The answers of all that have not ended. One that does not answer keeps none from being asked.

        Raises:
            OperationalError: One did not answer, or all have ended.
        """
        return self._ask_lanes(lambda lane: question(lane.core))

    def _ask_lanes(self, question: Callable[[Lane], T]) -> list[tuple[Lane, T]]:
        """The same, where it is not the same for each."""
        answers: list[tuple[Lane, T]] = []
        ended: list[WorkerEnded] = []
        unanswered: list[OperationalError] = []
        for lane in self._lanes:
            try:
                answers.append((lane, question(lane)))
            except WorkerEnded as exc:
                ended.append(exc)
            except OperationalError as exc:
                unanswered.append(exc)
        if unanswered or not answers:
            raise [*unanswered, *ended][0]
        return answers


def _any(answers: Sequence[tuple[Lane, bool]]) -> bool:
    return any(answer for _, answer in answers)
