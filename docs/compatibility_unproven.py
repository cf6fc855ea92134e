"""Rows that are said to work and have no test of their own yet; a row leaves this list with its test.

Nothing is ever added here: what starts to work brings its test along.
"""

from __future__ import annotations

_NAMES: dict[str, str] = {
    "task": "resultrepr_maxsize",
    "protocol": "1",
    "setting": "broker_host worker_pool worker_pool_start_method result_backend_transport_options",
}

UNPROVEN: frozenset[str] = frozenset(
    f"{area} {name}" for area, names in _NAMES.items() for name in names.split()
)
