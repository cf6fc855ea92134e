"""task_*: how tasks are published, run and acknowledged, unless a task says otherwise."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

_PUBLISHING = [
    Setting(
        "protocol",
        2,
        "int",
        "Version of the task message.",
        old=("CELERY_TASK_PROTOCOL",),
        status="active",
        choices=(1, 2),
    ),
    Setting(
        "serializer",
        "json",
        "str",
        "Serialiser of arguments.",
        old=("CELERY_TASK_SERIALIZER",),
        status="active",
    ),
    Setting(
        "compression",
        None,
        "str",
        "Compression of arguments.",
        old=("CELERY_MESSAGE_COMPRESSION",),
        status="active",
    ),
    Setting(
        "publish_retry",
        True,
        "bool",
        "Try again when a publish fails.",
        old=("CELERY_TASK_PUBLISH_RETRY",),
        status="active",
    ),
    Setting(
        "publish_retry_policy",
        {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2},
        "dict",
        "How often and after which pauses a publish is tried again.",
        old=("CELERY_TASK_PUBLISH_RETRY_POLICY",),
        status="active",
    ),
    Setting(
        "stream_max_queue_length",
        1_000_000,
        "int",
        "Messages in a queue at which the publication of a stream waits; 0: never.",
        status="active",
        low=0,
        is_ours=True,
    ),
    Setting(
        "send_sent_event",
        False,
        "bool",
        "Publish a task-sent event with every task.",
        old=("CELERY_SEND_TASK_SENT_EVENT",),
        status="active",
    ),
    Setting(
        "repr_maxlevels", 3, "int", "Depth of argsrepr and kwargsrepr.", status="active", low=1
    ),
    Setting(
        "inherit_parent_priority",
        False,
        "bool",
        "A task published by a task gets its priority.",
        status="active",
    ),
]

_ROUTING = [
    Setting(
        "routes",
        None,
        "any",
        "Which task goes to which queue: dicts, patterns, functions.",
        status="active",
    ),
    Setting(
        "queues",
        None,
        "any",
        "The queues that exist: Queue objects or name to options.",
        status="active",
    ),
    Setting(
        "create_missing_queues",
        True,
        "bool",
        "Make a queue that is named but not in task_queues.",
        status="active",
    ),
    Setting(
        "create_missing_queue_type",
        "classic",
        "str",
        "Type of queues made that way, on RabbitMQ.",
        choices=("classic", "quorum"),
        status="active",
    ),
    Setting(
        "create_missing_queue_exchange_type",
        None,
        "str",
        "Exchange type of queues made that way.",
        choices=("direct", "topic"),
        status="differs",
        note="a queue of a fanout exchange has to be listed in task_queues",
    ),
    Setting(
        "queue_max_priority",
        None,
        "int",
        "x-max-priority of queues, on RabbitMQ.",
        low=0,
        high=255,
        status="active",
    ),
    Setting(
        "default_queue", "celery", "str", "Queue of tasks that are not routed.", status="active"
    ),
    Setting(
        "default_queue_type",
        "classic",
        "str",
        "Type of the default queue, on RabbitMQ.",
        choices=("classic", "quorum"),
        status="active",
    ),
    Setting(
        "default_exchange",
        None,
        "str",
        "Exchange of the default queue; unset: named as the queue.",
        status="active",
    ),
    Setting(
        "default_exchange_type", "direct", "str", "Type of the default exchange.", status="active"
    ),
    Setting(
        "default_routing_key",
        None,
        "str",
        "Routing key of the default queue; unset: the queue's name.",
        status="active",
    ),
    Setting(
        "default_delivery_mode",
        2,
        "any",
        "Whether messages survive a restart of RabbitMQ; other brokers keep all of them.",
        status="active",
        choices=(1, 2, "1", "2", "transient", "persistent"),
    ),
    Setting(
        "default_priority",
        None,
        "int",
        "Priority of tasks that name none, 0 to 9; on Redis and SQLite 0 is first.",
        status="active",
        low=0,
        high=255,
    ),
]

_RUNNING = [
    Setting(
        "annotations",
        None,
        "any",
        "Task attributes to replace, by task name or '*'.",
        status="active",
    ),
    Setting(
        "default_rate_limit",
        None,
        "any",
        "Rate limit of tasks that name none, such as '10/m'.",
        status="active",
    ),
    Setting(
        "soft_time_limit",
        None,
        "float",
        "Seconds after which SoftTimeLimitExceeded is raised in the task.",
        old=("CELERYD_TASK_SOFT_TIME_LIMIT",),
        status="active",
        low=0,
    ),
    Setting(
        "time_limit",
        None,
        "float",
        "Seconds after which the task's process is killed.",
        old=("CELERYD_TASK_TIME_LIMIT",),
        status="active",
        low=0,
    ),
    Setting(
        "always_eager",
        False,
        "bool",
        "Run tasks in the caller instead of publishing them.",
        status="active",
    ),
    Setting(
        "eager_propagates",
        False,
        "bool",
        "Raise the errors of eager tasks.",
        old=("CELERY_EAGER_PROPAGATES_EXCEPTIONS",),
        status="active",
    ),
    Setting(
        "store_eager_result", False, "bool", "Store the results of eager tasks.", status="active"
    ),
    Setting(
        "eager_strict",
        False,
        "bool",
        "Send arguments, links, results and errors of eager tasks through the serializers.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "remote_tracebacks",
        False,
        "bool",
        "Send pickled tracebacks with errors (needs tblib).",
        status="active",
    ),
    Setting(
        "allow_error_cb_on_chord_header",
        False,
        "bool",
        "A chord's error callback also belongs to each header task.",
        status="active",
    ),
    Setting(
        "by_reference",
        False,
        "bool",
        "Store large chord results and long chains once, and have messages refer to them; not beside Celery workers.",
        status="active",
        is_ours=True,
    ),
    Setting(
        "chord_errors",
        "fail",
        "any",
        "A chord whose members fail: 'fail', 'continue', 'fail_fast', or how many may fail.",
        status="active",
        is_ours=True,
    ),
]

_SETTLING = [
    Setting(
        "acks_late",
        True,
        "bool",
        "Acknowledge after the task ended instead of before it starts.",
        status="active",
    ),
    Setting(
        "acks_on_failure_or_timeout",
        True,
        "bool",
        "With late acks: acknowledge tasks that failed or timed out; False: keep them in the dead letters.",
        status="active",
    ),
    Setting(
        "acks_on_failure",
        None,
        "bool",
        "The same for failures alone; unset: as above.",
        status="active",
    ),
    Setting(
        "acks_on_timeout",
        None,
        "bool",
        "The same for time-outs alone; unset: as above.",
        status="active",
    ),
    Setting(
        "reject_on_worker_lost",
        None,
        "bool",
        "With late acks: run again when the task's process died; unset: yes, at most task_max_deliveries times.",
        status="active",
    ),
    Setting(
        "retry_on_worker_lost",
        False,
        "bool",
        "Retry by the task's policy when its process died.",
        status="active",
    ),
    Setting(
        "ignore_result",
        False,
        "bool",
        "Store no results of tasks that do not say.",
        status="active",
    ),
    Setting(
        "store_errors_even_if_ignored",
        False,
        "bool",
        "Store failures even where results are ignored.",
        status="active",
    ),
    Setting("track_started", False, "bool", "Store STARTED when a task begins.", status="active"),
    Setting(
        "max_deliveries",
        3,
        "int",
        "Started attempts after which a task whose process keeps dying goes to the dead letters.",
        status="active",
        low=1,
        is_ours=True,
    ),
]

TASK = group("task", "CELERY_", [*_PUBLISHING, *_ROUTING, *_RUNNING, *_SETTLING])
