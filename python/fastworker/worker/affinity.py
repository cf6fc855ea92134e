"""``--cpu-affinity``: each child keeps to one processor core."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from fastworker.errors import ImproperlyConfigured


def cores_of(value: object, who: str) -> list[int]:
    """The cores to pin children to; none: they are left to the kernel.

    Args:
        value: None, ``auto`` (every core that this process may use), text such as ``0,2-5``, or numbers.
        who: The option or setting, for the error.

    Raises:
        ImproperlyConfigured: Something else, or a core that this process may not use.
    """
    if value is None or value == "":
        return []
    allowed = sorted(os.sched_getaffinity(0))
    if value == "auto":
        return allowed
    try:
        wanted = list(_numbers(value))
    except (TypeError, ValueError):
        raise ImproperlyConfigured(
            f"{who} {value!r}: expected auto, or cores such as 0,2-5"
        ) from None
    refused = sorted(set(wanted) - set(allowed))
    if refused or not wanted:
        raise ImproperlyConfigured(
            f"{who} {value!r}: core {', '.join(map(str, refused)) or 'none'} is not one of this process's; expected "
            f"some of {', '.join(map(str, allowed))}"
        )
    return wanted


def _numbers(value: object) -> Iterable[int]:
    if not isinstance(value, str):
        return [int(core) for core in value]  # type: ignore[attr-defined]
    numbers: list[int] = []
    for part in value.split(","):
        first, dash, last = part.strip().partition("-")
        numbers.extend(range(int(first), int(last if dash else first) + 1))
    return numbers


class Pins:
    """Which child keeps to which core.

    Args:
        cores: To choose from; empty: nobody is pinned.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = list(cores)
        self._of_child: dict[int, int] = {}

    def pin(self, pid: int) -> None:
        """Give a new process the core that has the fewest. One that is gone needs none; if the core has been taken from
        us since, it runs where the kernel lets it."""
        if not self._cores:
            return
        used = Counter(self._of_child.values())
        core = min(self._cores, key=lambda core: used[core])
        try:
            os.sched_setaffinity(pid, {core})
        except OSError:
            return
        self._of_child[pid] = core

    def free(self, pid: int) -> None:
        """The process has ended."""
        self._of_child.pop(pid, None)
