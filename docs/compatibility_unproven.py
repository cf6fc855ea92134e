"""Rows that are said to work and have no test of their own yet; a row leaves this list with its test.

Nothing is ever added here: what starts to work brings its test along.
"""

from __future__ import annotations

_NAMES: dict[str, str] = {
    "task": "trail acks_on_failure_or_timeout resultrepr_maxsize lazy shared filter backend",
    "handler": "shadow_name on_bound",
    "verb": "signature",
    "call": "add_to_parent",
    "protocol": "1",
    "request": "get",
    "route": "-X",
    "signal": "task_sent",
    "setting": (
        "broker_host task_inherit_parent_priority task_eager_propagates "
        "task_store_errors_even_if_ignored worker_pool worker_pool_start_method "
        "worker_prefetch_multiplier worker_log_color worker_log_datefmt worker_task_log_datefmt "
        "worker_prefetch worker_eta_horizon result_backend_transport_options redis_username"
    ),
}

UNPROVEN: frozenset[str] = frozenset(
    f"{area} {name}" for area, names in _NAMES.items() for name in names.split()
)
