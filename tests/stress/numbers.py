"""Numbered tasks, who publishes them, and the record of their effects outside any queue.

Every number is one task. In each block of 50, the first 30 are published one by one by the
publisher process, and the last 20 from inside a task of their own, so that both ways of publishing
are under fire. ``kind_of`` says which task a number is. Lines have a fixed width: counting is a look
at the size of a file.
"""

from __future__ import annotations

import importlib
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.apps import AppSpec, build

BLOCK = 50
DIRECT = 30
SPREAD = BLOCK - DIRECT
WIDTH = 9  # eight digits and a line feed
EFFECT_WIDTH = 47  # a number and two times

# One task takes this long, so that two processes need about as long for a number as the publisher.
WORK_S = 0.002
# Limits of the tasks that run over them, and how long those would run on.
LIMIT_S = 0.4
OVERRUN_S = 30.0
# How long a task runs that is to be terminated.
ENDLESS_S = 5.0
#: Starts a second, of all workers together: of one task, and of each key of another.
CLUSTER_RATE = KEYED_RATE = 4
#: The key of most keyed tasks; one in four has a key to itself.
HOT = "hot"

#: Options of a call by kind; the task is ``stress.<kind>`` unless it is one of these.
OPTIONS: dict[str, dict[str, Any]] = {
    "near": {"countdown": 0.5},  # within worker_eta_horizon: held by the worker
    "parked": {"countdown": 4},  # beyond it: parked in the broker
    "revoked_near": {"countdown": 0.9},
    "revoked_parked": {"countdown": 2},
}
#: Of each block, by place; the others are plain effects.
PLACES = {
    17: "keyed",
    18: "flaky",
    19: "flaky",
    20: "near",
    21: "parked",
    22: "limited",
    23: "early",
    24: "cluster",
    27: "revoked_near",
    28: "revoked_parked",
}
#: Once in five blocks: they keep a process busy.
RARE = {25: "soft", 76: "hard", 126: "endless"}
#: What is to be terminated is revoked so many blocks after it was published: most have started.
DELAY = 3
#: What is revoked; the others at once.
REVOKED = frozenset({"revoked_near", "revoked_parked", "endless"})


@dataclass(frozen=True)
class Effect:
    """One run of a number.

    Attributes:
        published: When its message was made, Unix time.
        ran: When it took effect.
    """

    published: float
    ran: float


def kind_of(number: int) -> str:
    """Which task a number is; ``early`` ones may be lost with the process that runs them."""
    if not is_direct(number):
        return "effect"
    return RARE.get(number % (5 * BLOCK)) or PLACES.get(number % BLOCK, "effect")


def steps(total: int) -> Iterator[tuple[str, int]]:
    """What the publisher does, in order: ``(kind, number)``, ``("spread", first number)`` or
    ``("revoke", number)``.
    """
    for first in range(0, total, BLOCK):
        direct = range(first, first + DIRECT)
        for number in direct:
            yield kind_of(number), number
            if kind_of(number) in OPTIONS and kind_of(number) in REVOKED:
                yield "revoke", number
        yield "spread", first + DIRECT
        before = range(first - DELAY * BLOCK, first - (DELAY - 1) * BLOCK)
        yield from (("revoke", n) for n in before if n >= 0 and kind_of(n) == "endless")


def key_of(number: int) -> str:
    """The key of a keyed number."""
    block = number // BLOCK
    return HOT if block % 4 else f"own-{block}"


def is_direct(number: int) -> bool:
    """Whether the publisher itself publishes it."""
    return number % BLOCK < DIRECT


def write_number(path: Path, number: int) -> None:
    """Append one line in one write; a kill between two instructions of ours leaves it whole or
    absent.
    """
    _append(path, b"%08d\n" % number)


def write_effect(folder: str, number: int, published: float) -> None:
    """Note that ``number`` took effect."""
    line = b"%08d %018.6f %018.6f\n" % (number, published, time.time())
    _append(Path(folder, str(os.getpid())), line)


def write_moment(path: Path, number: int) -> None:
    """Note that something happened to ``number`` now."""
    _append(path, b"%08d %018.6f\n" % (number, time.time()))


def read_moments(path: Path) -> dict[int, float]:
    """What ``write_moment`` noted; the first time of each number. Empty without a file."""
    moments: dict[int, float] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        number, at = line.split()
        moments.setdefault(int(number), float(at))
    return moments


def _append(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def count_effects(folder: Path) -> int:
    """How many lines the files of a folder have together."""
    return sum(entry.stat().st_size for entry in os.scandir(folder)) // EFFECT_WIDTH


def read_effects(folder: Path) -> dict[int, list[Effect]]:
    """The runs of each number, in order."""
    runs: dict[int, list[Effect]] = defaultdict(list)
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            number, published, ran = line.split()
            runs[int(number)].append(Effect(float(published), float(ran)))
    for effects in runs.values():
        effects.sort(key=lambda effect: effect.ran)
    return runs


def publish(app: Any, kind: str, number: int, folder: str) -> None:
    """Do one step."""
    if kind == "revoke":
        app.control.revoke(id_of(number), terminate=kind_of(number) == "endless", signal="KILL")
        write_moment(Path(folder).parent / "revoked", number)
        return
    options = dict(OPTIONS.get(kind, {}))
    arguments: tuple[Any, ...] = (number, folder, time.time())
    if kind in REVOKED:
        options["task_id"] = id_of(number)
    elif kind == "keyed":
        arguments = (*arguments, key_of(number))
    task = app.tasks[f"stress.{'effect' if kind in OPTIONS else kind}"]
    task.apply_async(arguments, **options)


def id_of(number: int) -> str:
    """The task id of a number that is revoked: known before it is published, and the same if it is
    published again.
    """
    return str(uuid.UUID(int=number))


def make_app(spec: AppSpec) -> Any:
    """The application of the stress tests."""
    app = build(spec)
    lib = importlib.import_module(f"{spec.framework}.exceptions")
    common = {"ignore_result": True, "shared": False}

    @app.task(name="stress.effect", **common)
    def effect(number: int, folder: str, published: float) -> None:
        time.sleep(WORK_S)
        write_effect(folder, number, published)

    @app.task(name="stress.spread", **common)
    def spread(first: int, folder: str, published: float) -> None:
        now = time.time()
        for number in range(first, first + SPREAD):
            effect.delay(number, folder, now)

    @app.task(name="stress.flaky", bind=True, max_retries=None, **common)
    def flaky(self: Any, number: int, folder: str, published: float) -> None:
        """Runs three times: the first retry is due at once, the second in a moment."""
        if self.request.retries < 2:
            raise self.retry(countdown=0.1 * self.request.retries)
        write_effect(folder, number, published)

    @app.task(name="stress.limited", rate_limit="10/s", **common)
    def limited(number: int, folder: str, published: float) -> None:
        write_effect(folder, number, published)

    @app.task(name="stress.early", acks_late=False, **common)
    def early(number: int, folder: str, published: float) -> None:
        write_effect(folder, number, published)

    @app.task(
        name="stress.cluster",
        rate_limit=f"{CLUSTER_RATE}/s",
        rate_limit_scope="cluster",
        **common,
    )
    def cluster(number: int, folder: str, published: float) -> None:
        write_effect(folder, number, published)

    @app.task(name="stress.keyed", rate_limit=f"{KEYED_RATE}/s", rate_limit_key="key", **common)
    def keyed(number: int, folder: str, published: float, key: str) -> None:
        write_effect(folder, number, published)

    @app.task(name="stress.endless", **common)
    def endless(number: int, folder: str, published: float) -> None:
        """Is terminated, or never runs."""
        write_effect(folder, number, published)
        time.sleep(ENDLESS_S)
        write_moment(Path(folder).parent / "outlasted", number)

    @app.task(name="stress.soft", soft_time_limit=LIMIT_S, **common)
    def soft(number: int, folder: str, published: float) -> None:
        try:
            _overrun(folder, number)
        except lib.SoftTimeLimitExceeded:
            write_effect(folder, number, published)

    @app.task(name="stress.hard", time_limit=LIMIT_S, **common)
    def hard(number: int, folder: str, published: float) -> None:
        write_effect(folder, number, published)
        _overrun(folder, number)

    return app


def _overrun(folder: str, number: int) -> None:
    """Run until a limit ends it; one that does not is noted."""
    ends = time.monotonic() + OVERRUN_S
    while time.monotonic() < ends:
        time.sleep(0.01)
    write_number(Path(folder).parent / "overran", number)
