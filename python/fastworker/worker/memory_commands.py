"""Control commands that look for memory leaks: of the worker's main process, not of its children.

Source: celery/worker/control.py and celery/utils/debug.py. Celery needs psutil to read how much memory there is; here
the kernel is asked.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile

from fastworker.worker.panel import State, inspect_command

logger = logging.getLogger("fastworker.worker.control")

_UNITS = ((2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "KB"))
#: What ``memsample`` has read since the last ``memdump``.
_samples: list[str] = []


@inspect_command()
def memsample(state: State, **kwargs: object) -> str:
    """Sample current RSS memory usage."""
    sample = _resident()
    _samples.append(sample)
    return sample


@inspect_command(args=[("samples", int)], signature="[n_samples=10]")
def memdump(state: State, samples: int = 10, **kwargs: object) -> str:
    """Dump statistics of previous memsample requests."""
    read, _samples[:] = _some_of(_samples, samples), []
    gc.collect()
    lines = ["- rss (sample):", *(f"-    > {sample}," for sample in read)] if read else []
    return "\n".join([*lines, f"- rss (end): {_resident()}.", ""])


@inspect_command(
    default_timeout=60.0,
    args=[("type", str), ("num", int), ("max_depth", int)],
    signature="[object_type=Request] [num=200 [max_depth=10]]",
)
def objgraph(
    state: State, num: int = 200, max_depth: int = 10, type: str = "Request"
) -> dict[str, str]:
    """Create graph of uncollected objects (memory-leak debugging)."""
    try:
        import objgraph as library
    except ImportError:
        raise ImportError("Requires the objgraph library") from None
    logger.info("Dumping graph for type %r", type)
    with tempfile.NamedTemporaryFile(prefix="cobjg", suffix=".png", delete=False) as file:
        objects = library.by_type(type)[:num]
        library.show_backrefs(
            objects,
            max_depth=max_depth,
            highlight=lambda found: found in objects,
            filename=file.name,
        )
    return {"filename": file.name}


def _resident() -> str:
    """Memory that this process has resident, as Celery writes it: ``48.31MB``."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        size = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    for unit, name in _UNITS:
        if size >= unit:
            value = size / unit
            return f"{int(value) if value == int(value) else f'{value:.5}'}{name}"
    return f"{size}b"


def _some_of(samples: list[str], count: int) -> list[str]:
    """At most so many of them, evenly spread."""
    if len(samples) <= count:
        return list(samples)
    return samples[:: len(samples) // count][:count] if count > 0 else []
