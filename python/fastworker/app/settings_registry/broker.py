"""broker_*: where messages are published to and fetched from."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

BROKER = group(
    "broker",
    "BROKER_",
    [
        Setting(
            "url",
            None,
            "any",
            "URL of the broker, or a list of alternates; unset: an SQLite file beside the app.",
            status="active",
        ),
        Setting(
            "read_url",
            None,
            "any",
            "URL that workers fetch from; unset: broker_url.",
            status="active",
        ),
        Setting(
            "write_url",
            None,
            "any",
            "URL that tasks are published to; unset: broker_url.",
            status="active",
        ),
        Setting("transport", None, "str", "Transport name when the URL has none."),
        Setting(
            "transport_options",
            {},
            "dict",
            "Options of the transport: visibility_timeout, global_keyprefix and more.",
            status="active",
        ),
        Setting(
            "connection_timeout",
            4,
            "float",
            "Seconds to wait for a connection to open.",
            low=0,
            status="active",
        ),
        Setting("connection_retry", True, "bool", "Connect again when a connection is lost."),
        Setting(
            "connection_retry_on_startup",
            None,
            "bool",
            "Keep trying when the broker is away at start; unset: as broker_connection_retry.",
        ),
        Setting(
            "connection_max_retries",
            100,
            "int",
            "Attempts to connect before giving up; 0 or unset: for ever.",
            low=0,
        ),
        Setting(
            "channel_error_retry",
            False,
            "bool",
            "Treat a closed AMQP channel as a lost connection.",
        ),
        Setting("failover_strategy", None, "any", "How the next of several URLs is chosen."),
        Setting(
            "heartbeat", 120, "int", "AMQP heartbeat, seconds; 0: none.", low=0, status="active"
        ),
        Setting(
            "heartbeat_checkrate", 3.0, "float", "Checks per AMQP heartbeat.", status="moot", low=0
        ),
        Setting("login_method", None, "str", "AMQP login mechanism."),
        Setting(
            "native_delayed_delivery_queue_type",
            "quorum",
            "str",
            "Type of the queues that hold delayed messages on RabbitMQ.",
            choices=("classic", "quorum"),
            status="active",
        ),
        Setting(
            "pool_limit",
            10,
            "int",
            "Connections a process keeps for publishing.",
            status="moot",
            low=0,
        ),
        Setting(
            "pool_acquire_timeout",
            None,
            "float",
            "Seconds to wait for a free connection of the pool; unset: for ever.",
            status="moot",
            low=0,
        ),
        Setting("use_ssl", False, "any", "True, or a dict of TLS options.", status="active"),
        Setting("host", None, "str", "Host, when broker_url is not used.", status="active"),
        Setting("port", None, "int", "Port, when broker_url is not used.", low=0, high=65535),
        Setting("user", None, "str", "User, when broker_url is not used."),
        Setting("password", None, "str", "Password, when broker_url is not used.", is_secret=True),
        Setting("vhost", None, "str", "Virtual host, when broker_url is not used."),
    ],
)
