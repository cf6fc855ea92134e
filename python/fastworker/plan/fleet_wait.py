"""Waits of a whole workload by formula: for permits and for slots, the worker's own delay included."""

from __future__ import annotations

import math

from fastworker.plan.layout import Layout
from fastworker.plan.wait_formula import wait
from fastworker.plan.wait_law import WaitLaw
from fastworker.plan.workload import Class, Workload


def wait_for_slots(workload: Workload, layout: Layout) -> WaitLaw:
    """The wait from a task's permit, if it needs one, to its start."""
    law = wait(workload.stream(), workload.layout_for(layout))
    start_s = workload.overhead.start_s
    if math.isinf(law.mean_s):
        return law
    return WaitLaw(
        law.p_wait,
        law.mean_s + start_s,
        lambda t: 1.0 if t < start_s else law.tail(t - start_s),
    )


def wait_in_all(workload: Workload, layout: Layout) -> WaitLaw:
    """The wait from a task's arrival to its start, of all classes together.

    Of the two waits the longer one counts: they are hardly ever long for the same task.
    """
    slots = wait_for_slots(workload, layout)
    laws = [
        (each.rate / workload.rate, _of(each, slots)) for each in workload.classes if each.rate > 0
    ]
    return WaitLaw(
        sum(share * law.p_wait for share, law in laws),
        sum(share * law.mean_s for share, law in laws),
        lambda t: sum(share * law.tail(t) for share, law in laws),
    )


def _of(each: Class, slots: WaitLaw) -> WaitLaw:
    if each.limit is None or math.isinf(slots.mean_s):
        return slots
    permit = each.limit.wait(each.rate)
    return WaitLaw(
        1 - (1 - permit.p_wait) * (1 - slots.p_wait),
        permit.mean_s + slots.mean_s,
        lambda t: 1 - (1 - permit.tail(t)) * (1 - slots.tail(t)),
    )
