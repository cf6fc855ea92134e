"""Numbered tasks, who publishes them, and the record of their effects outside any queue.

Every number is one task. In each block of 50, the first 30 are published one by one by the
publisher process, and the last 20 from inside a task of their own, so that both ways of publishing
are under fire. Lines have a fixed width: counting is a look at the size of a file.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.apps import AppSpec, build

BLOCK = 50
DIRECT = 30
SPREAD = BLOCK - DIRECT
WIDTH = 9  # eight digits and a line feed

# One task takes this long, so that two processes need about as long for a number as the publisher.
WORK_S = 0.002


def steps(total: int) -> Iterator[tuple[str, int]]:
    """What the publisher does, in order: ``("effect", number)`` or ``("spread", first number)``."""
    for first in range(0, total, BLOCK):
        yield from (("effect", number) for number in range(first, first + DIRECT))
        yield "spread", first + DIRECT


def is_direct(number: int) -> bool:
    """Whether the publisher itself publishes it."""
    return number % BLOCK < DIRECT


def write_number(path: Path, number: int) -> None:
    """Append one line in one write; a kill between two instructions of ours leaves it whole or
    absent.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, b"%08d\n" % number)
    finally:
        os.close(file)


def count_numbers(folder: Path) -> int:
    """How many lines the files of a folder have together."""
    return sum(entry.stat().st_size for entry in os.scandir(folder)) // WIDTH


def read_numbers(folder: Path) -> Counter[int]:
    """How often each number was written."""
    counts: Counter[int] = Counter()
    for path in folder.iterdir():
        counts.update(map(int, path.read_text().split()))
    return counts


def make_app(spec: AppSpec) -> Any:
    """The application of the stress tests."""
    app = build(spec)

    @app.task(name="stress.effect", ignore_result=True, shared=False)
    def effect(number: int, folder: str) -> None:
        time.sleep(WORK_S)
        write_number(Path(folder, str(os.getpid())), number)

    @app.task(name="stress.spread", ignore_result=True, shared=False)
    def spread(first: int, folder: str) -> None:
        for number in range(first, first + SPREAD):
            effect.delay(number, folder)

    return app
