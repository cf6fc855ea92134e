"""From the options and settings of a node to the plan of each of its lanes, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fastworker.child.main import Seat
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.lane_spec import lanes_of
from fastworker.worker.startup import Size, queues_of, size_of, with_direct

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.worker.options import WorkerOptions


@dataclass
class LanePlan:
    """One lane before it is started; the only one of a node without lanes has no name.

    Attributes:
        app: Its settings.
        name: Of the lane.
        options: Those of a worker that were this lane alone.
        queues: What it will consume.
        seat: Which of the node's children will be its own.
        earlier: The lanes before it.
    """

    app: FastWorker
    name: str | None
    options: WorkerOptions
    queues: list[str]
    seat: Seat
    earlier: Sequence[LanePlan] = ()

    @cached_property
    def size(self) -> Size:
        """Its children and its prefetch; to be asked once the settings have been checked.

        Raises:
            ImproperlyConfigured: As ``size_of``.
        """
        return size_of(self.app, self.options)

    @property
    def concurrency(self) -> int:
        """Tasks that it runs at once."""
        return self.size.concurrency * self.size.slots

    def cores_first(self, cores: Sequence[int]) -> list[int]:
        """The same cores; first those on which the lanes before it have put fewer children."""
        if not cores:
            return []
        taken = sum(plan.size.concurrency for plan in self.earlier) % len(cores)
        return [*cores[taken:], *cores[:taken]]


def lane_plans(app: FastWorker, options: WorkerOptions) -> list[LanePlan]:
    """The lanes of ``worker_lanes``, where the options are by now; else the one that serves every queue.

    Raises:
        ImproperlyConfigured: A lane, or what the options say of queues, cannot be.
    """
    specs = lanes_of(app.conf.worker_lanes)
    if not specs:
        return [LanePlan(app, None, options, queues_of(app, options), Seat())]
    plans: list[LanePlan] = []
    for number, spec in enumerate(specs, start=1):
        seat = Seat(spec.name, number, len(specs))
        chosen = spec.options(options)
        # The queue that leads to this worker alone comes to the first.
        queues = list(spec.queues) if plans else with_direct(app, options.hostname, spec.queues)
        plans.append(LanePlan(app, spec.name, chosen, queues, seat, tuple(plans)))
    return plans


def follow(plans: Sequence[LanePlan], queues: Sequence[str]) -> None:
    """Receivers of ``celeryd_after_setup`` may have changed the node's queues.

    Raises:
        ImproperlyConfigured: There is one more, and several lanes that could consume it; or a lane has none left.
    """
    if len(plans) == 1:
        plans[0].queues[:] = queues
        return
    known = {queue for plan in plans for queue in plan.queues}
    added = [queue for queue in queues if queue not in known]
    if added:
        raise ImproperlyConfigured(
            f"a receiver of celeryd_after_setup has added the queue {added[0]!r} to a worker with the lanes "
            f"{', '.join(str(plan.name) for plan in plans)}; expected queues of lanes: name it in one of them"
        )
    for plan in plans:
        plan.queues[:] = [queue for queue in plan.queues if queue in queues]
        if not plan.queues:
            raise ImproperlyConfigured(
                f"a receiver of celeryd_after_setup has removed every queue of the lane {plan.name}; leave the lane out"
            )


def unserved(app: FastWorker, plans: Sequence[LanePlan]) -> list[str]:
    """Configured queues that are in none of the lanes."""
    if plans[0].name is None:
        return []
    served = {queue for plan in plans for queue in plan.queues}
    return [queue for queue in app.configured_queues() if queue not in served]
