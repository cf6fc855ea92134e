"""Which resource keeps a full queue from emptying faster, from what was measured.

Each resource has a share in use, from 0 to 1. The one that binds is the first of ``ORDER`` whose share reaches
``FULL``: it goes from what leaves no room for anything else to what is merely full because of it. Where none does,
none is named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastworker.bench.phase import Phase

#: A resource in use to this share binds.
FULL = 0.85
#: So much of one core is more than one thread that holds an interpreter's lock can use.
_MORE_THAN_A_CORE = 1.1
#: Processes that have or want a core for less of the time do not wait for cores.
_WANTED = 0.5
#: Of the pools whose tasks share a process; what is full is then …
_SHARED = {"threads": "gil", "asyncio": "event loop", "gevent": "event loop", "eventlet": "event loop"}  # fmt: skip

CORES, OTHERS, PUBLISHER = "cores", "other processes", "publisher"
BROKER, SUPERVISOR = "broker CPU", "supervisor CPU"
GIL, LOOP, LIMIT, CHILD, SLOTS = "gil", "event loop", "rate limit", "child CPU", "slots"
# A limit is last: messages over their rate are not what binds while everything is busy with others.
ORDER = (CORES, OTHERS, PUBLISHER, BROKER, SUPERVISOR, GIL, LOOP, CHILD, SLOTS, LIMIT)

#: What each name says, and what helps; for people.
WORDS: Mapping[str, tuple[str, str]] = {
    CORES: ("the cores of the machine", "a machine with more cores, or more machines"),
    OTHERS: ("other processes, which have most of the cores", "a quieter machine"),
    PUBLISHER: ("the bench's own publisher, so this is a lower bound", "another machine for it"),
    BROKER: ("the broker's one thread", "more brokers (shards), or fewer and larger messages"),
    SUPERVISOR: ("the worker's I/O thread", "more worker nodes"),
    LIMIT: ("rate limits of tasks or of their keys", "a higher limit, or calls of other keys"),
    GIL: ("the interpreter lock of a process", "more processes (--processes), or the pool prefork"),
    LOOP: ("the one thread of a process that runs tasks", "more processes (--processes)"),
    CHILD: (
        "the child processes, which compute all the time",
        "more of them (--concurrency): cores are free",
    ),
    SLOTS: ("the slots, which are all taken by tasks", "more slots (--concurrency)"),
}


@dataclass(frozen=True)
class Use:
    """One resource.

    Attributes:
        resource: One of ``ORDER``.
        share: In use, from 0 to 1.
        measured: What it is made of, in words.
    """

    resource: str
    share: float
    measured: str


def uses(phase: Phase, pool: str) -> list[Use]:
    """What of each resource that was measured was in use in a phase."""
    seconds = phase.duration_s or 1e-9
    in_tasks = f"{phase.slots} slots, in tasks {phase.utilisation:.0%} of the time"
    found = [Use(SLOTS, phase.utilisation, in_tasks)]
    if phase.cores_busy is not None:
        found.append(_of_the_cores(phase, phase.cores_busy))
    if phase.broker is not None and phase.broker.thread_s is not None:
        found.append(_of_a_core(BROKER, phase.broker.thread_s / seconds, "its main thread"))
    supervisors = phase.cpu_s.get("supervisor", 0.0) / seconds / phase.nodes
    if pool != "solo":  # else tasks run there
        found.append(_of_a_core(SUPERVISOR, supervisors, "the supervisor"))
    if phase.children:
        child = phase.cpu_s.get("children", 0.0) / seconds / phase.children
        shared = _SHARED.get(pool) if phase.slots > phase.children else None
        if shared is None:
            found.append(_of_a_core(CHILD, child, "each child process"))
        elif child <= _MORE_THAN_A_CORE:
            found.append(_of_a_core(shared, child, "each child process"))
    if phase.held is not None and phase.left:
        words = f"{phase.held:,} of {phase.left:,} messages that wait are over their rate"
        found.append(Use(LIMIT, phase.held / phase.left, words))
    if phase.dry is not None:
        words = f"the queue was empty at {phase.dry:.0%} of the looks"
        found.append(Use(PUBLISHER, phase.dry, words))
    return found


def _of_the_cores(phase: Phase, busy: float) -> Use:
    own, wanted = phase.cores_own, phase.cores_wanted
    words = f"{phase.cores} cores busy {busy:.0%} of the time, {own:.0%} by this"
    if phase.core_wait_s is not None:
        words += f", which had or wanted one {wanted:.0%} of the time"
    # Busy cores are nothing to tasks that wait for something else.
    share = busy if wanted >= _WANTED else min(busy, wanted)
    return Use(CORES if 2 * own >= busy else OTHERS, share, words)


def _of_a_core(resource: str, share: float, who: str) -> Use:
    return Use(resource, min(1.0, share), f"{who} uses {share:.0%} of a core")


def average(of_repeats: Iterable[Iterable[Use]]) -> list[Use]:
    """The medians over repeats, highest first; the words are those of the repeat in the middle. What fewer than half of
    them have is left out.
    """
    repeats = list(of_repeats)
    by_resource: dict[str, list[Use]] = {}
    for use in itertools.chain.from_iterable(repeats):
        by_resource.setdefault(use.resource, []).append(use)
    middles = [
        sorted(several, key=lambda use: use.share)[len(several) // 2]
        for several in by_resource.values()
        if 2 * len(several) >= len(repeats)
    ]
    return sorted(middles, key=lambda use: -use.share)


def binding(found: Iterable[Use]) -> Use | None:
    """What binds; None: nothing that was measured is full."""
    full = {use.resource: use for use in found if use.share >= FULL}
    return next((full[resource] for resource in ORDER if resource in full), None)


def binding_text(found: Mapping[str, Any]) -> str:
    """``limits`` of a file in a sentence."""
    binds = found["binds"]
    if binds is not None:
        use = next(use for use in found["uses"] if use["resource"] == binds)
        what, remedy = WORDS[binds]
        return f"What binds: {what} ({use['measured']}). More needs {remedy}."
    nearest = found["uses"][0]
    return (
        f"Nothing that was measured is full; the fullest is {nearest['resource']} at {nearest['share']:.0%} "
        f"({nearest['measured']}). What is left is waiting: for the broker, its disk, or each other."
    )
