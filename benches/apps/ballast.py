"""An application's imports, as memory: many small objects, which is what modules, classes and
models are.

Small objects are the hard case for forked processes. Each carries a reference count and a link of
the garbage collector, and touching either copies the page, so memory that was shared when the
process forked does not stay so.
"""

from __future__ import annotations

import sys


def allocate(size_bytes: int) -> list[dict[str, object]]:
    """Allocate about ``size_bytes`` of small dicts, strings and floats, and return what keeps them
    alive.
    """
    if size_bytes == 0:
        return []
    sample = _entry(0)
    entry_bytes = sys.getsizeof(sample) + sum(sys.getsizeof(value) for value in sample.values()) + 8
    return [_entry(number) for number in range(size_bytes // entry_bytes)]


def _entry(number: int) -> dict[str, object]:
    return {"name": f"entry-{number:012d}", "weight": number / 7.0, "doc": f"{number:0256d}"}
