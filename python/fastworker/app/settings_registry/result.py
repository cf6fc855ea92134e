"""result_* and redis_*: where results are stored, for how long, and in what form."""

from __future__ import annotations

import math
from datetime import timedelta

from fastworker.app.settings_registry.setting import Setting, group

RESULT = group(
    "result",
    "CELERY_RESULT_",
    [
        Setting(
            "backend",
            None,
            "any",
            "URL of the result store; unset: none, or the broker's SQLite file.",
            status="active",
        ),
        Setting(
            "cache_max",
            -1,
            "int",
            "Results that a client keeps in memory; -1: none, 0: no limit.",
            old=("CELERY_MAX_CACHED_RESULTS",),
            low=-1,
            status="active",
        ),
        Setting("compression", None, "str", "Compression of stored results.", status="active"),
        Setting(
            "exchange",
            "celeryresults",
            "str",
            "Exchange of the rpc:// store.",
            note="there is no rpc:// store yet",
        ),
        Setting(
            "exchange_type",
            "direct",
            "str",
            "Type of the rpc:// store's exchange.",
            note="there is no rpc:// store yet",
        ),
        Setting(
            "expires",
            timedelta(days=1),
            "seconds",
            "How long a result is kept; 0 or unset: for ever.",
            old=("CELERY_TASK_RESULT_EXPIRES",),
            status="active",
            low=0,
        ),
        Setting(
            "chord_expires",
            None,
            "seconds",
            "How long a chord is kept after the last end of a member; unset: as results, a day at least.",
            low=0,
            status="active",
        ),
        Setting(
            "failure_expires",
            None,
            "seconds",
            "How long failures are kept; unset: as results.",
            low=0,
            status="active",
        ),
        Setting(
            "persistent",
            None,
            "bool",
            "Let rpc:// results survive a broker restart.",
            status="active",
        ),
        Setting(
            "extended",
            False,
            "bool",
            "Store name, args, kwargs, worker, retries and queue with a result.",
            status="active",
        ),
        Setting("serializer", "json", "str", "Serialiser of stored results.", status="active"),
        Setting(
            "backend_transport_options",
            {},
            "dict",
            "Options of the result store's connection.",
            status="active",
        ),
        Setting(
            "chord_retry_interval",
            1.0,
            "float",
            "Seconds between looks at an unfinished chord of a client whose store cannot count.",
            low=0,
            status="active",
        ),
        Setting(
            "chord_join_timeout",
            3.0,
            "float",
            "Seconds to wait for the results of a finished header, where parts do not have them.",
            low=0,
            status="active",
        ),
        Setting(
            "backend_max_sleep_between_retries_ms",
            10000,
            "int",
            "Longest pause between attempts to reach the store, milliseconds.",
            low=0,
            status="active",
        ),
        Setting(
            "backend_max_retries",
            math.inf,
            "float",
            "Attempts to reach the store before giving up.",
            low=0,
            status="active",
        ),
        Setting(
            "backend_base_sleep_between_retries_ms",
            10,
            "int",
            "First pause between attempts to reach the store, milliseconds.",
            low=0,
            status="active",
        ),
        Setting(
            "backend_always_retry",
            False,
            "bool",
            "Try again on every recoverable error of the store.",
            status="active",
        ),
    ],
)

REDIS = group(
    "redis",
    "CELERY_REDIS_",
    [
        Setting(
            "backend_use_ssl",
            None,
            "any",
            "True, or a dict of TLS options of the Redis result store.",
            status="active",
        ),
        Setting("db", None, "any", "Database number, when the URL has none.", status="active"),
        Setting("host", None, "str", "Host, when the URL has none.", status="active"),
        Setting(
            "max_connections",
            None,
            "int",
            "Connections a process may open to the result store.",
            low=1,
            status="moot",
            note="there is no pool to bound: a thread that asks has up to three connections",
        ),
        Setting("username", None, "str", "User, when the URL has none.", status="active"),
        Setting(
            "password",
            None,
            "str",
            "Password, when the URL has none.",
            is_secret=True,
            status="active",
        ),
        Setting(
            "port", None, "int", "Port, when the URL has none.", low=0, high=65535, status="active"
        ),
        Setting(
            "socket_timeout",
            120.0,
            "float",
            "Seconds to wait for an answer; 30 unless it is set.",
            low=0,
            status="active",
        ),
        Setting(
            "socket_connect_timeout",
            None,
            "float",
            "Seconds to wait for a connection.",
            low=0,
            status="active",
        ),
        Setting(
            "retry_on_timeout",
            False,
            "bool",
            "Send a command again when its answer did not come in time.",
            status="active",
        ),
        Setting(
            "socket_keepalive",
            False,
            "bool",
            "Ask the kernel to probe idle connections.",
            status="differs",
            note="always on: a server that is cut off is noticed within 20 s",
        ),
    ],
)
