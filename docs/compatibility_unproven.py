"""Rows that are said to work and have no test of their own yet; a row leaves this list with its test.

Nothing is ever added here: what starts to work brings its test along.
"""

from __future__ import annotations

_NAMES: dict[str, str] = {
    "task": (
        "default_retry_delay store_errors_even_if_ignored trail compression time_limit soft_time_limit "
        "acks_on_failure_or_timeout acks_on_failure throws expires priority queue exchange routing_key "
        "resultrepr_maxsize lazy shared filter backend"
    ),
    "handler": "before_start on_success on_failure on_retry after_return shadow_name on_bound",
    "verb": "apply_async signature Ignore Reject",
    "call": (
        "task_id shadow ignore_result add_to_parent group_id group_index reply_to stamped_headers argsrepr "
        "kwargsrepr"
    ),
    "protocol": "1",
    "request": (
        "id task args kwargs retries eta expires called_directly delivery_info hostname root_id parent_id "
        "group group_index chord chain callbacks errbacks children timelimit time_limit soft_time_limit "
        "reply_to correlation_id properties headers origin shadow lang argsrepr kwargsrepr ignore_result "
        "replaced_task_nesting stamped_headers stamps utc loglevel logfile taskset get"
    ),
    "outcome": "ignore reject soft-time-limit hard-time-limit",
    "route": "-X",
    "signal": (
        "task_sent task_prerun task_postrun task_success task_retry task_failure worker_init "
        "worker_process_init worker_process_shutdown worker_ready worker_shutting_down worker_shutdown"
    ),
    "setting": (
        "enable_utc broker_host task_serializer task_compression task_repr_maxlevels "
        "task_inherit_parent_priority task_default_exchange_type task_default_priority task_soft_time_limit "
        "task_eager_propagates task_acks_on_failure_or_timeout task_acks_on_failure task_ignore_result "
        "task_store_errors_even_if_ignored worker_pool worker_pool_start_method worker_prefetch_multiplier "
        "worker_log_color worker_log_datefmt worker_task_log_datefmt worker_prefetch worker_eta_horizon "
        "result_backend_transport_options redis_username"
    ),
}

UNPROVEN: frozenset[str] = frozenset(
    f"{area} {name}" for area, names in _NAMES.items() for name in names.split()
)
