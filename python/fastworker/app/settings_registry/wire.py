"""event_*, control_* and security_*: what travels beside the tasks, and signed messages."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

EVENT = group(
    "event",
    "CELERY_EVENT_",
    [
        Setting(
            "queue_expires",
            60.0,
            "float",
            "Seconds after which an unused event queue is removed.",
            low=0,
            status="active",
        ),
        Setting(
            "queue_ttl",
            5.0,
            "float",
            "Seconds an event may wait in its queue.",
            low=0,
            status="active",
        ),
        Setting(
            "queue_prefix",
            "celeryev",
            "str",
            "Prefix of event receivers' queues.",
            status="active",
        ),
        Setting(
            "queue_exclusive",
            True,
            "bool",
            "An event queue belongs to one connection.",
            status="active",
        ),
        Setting(
            "queue_durable",
            False,
            "bool",
            "Event queues survive a broker restart.",
            status="active",
        ),
        Setting(
            "serializer",
            "json",
            "str",
            "Serialiser of events that programs send; what workers tell by themselves is JSON.",
            status="active",
        ),
        Setting(
            "exchange",
            "celeryev",
            "str",
            "Exchange that events are published to.",
            status="active",
        ),
    ],
)

CONTROL = group(
    "control",
    "CONTROL_",
    [
        Setting(
            "queue_ttl",
            300.0,
            "float",
            "Seconds a remote-control message may wait in its queue.",
            low=0,
            status="moot",
        ),
        Setting(
            "queue_expires",
            10.0,
            "float",
            "Seconds after which an unused control queue is removed.",
            low=0,
            status="moot",
        ),
        Setting(
            "queue_exclusive",
            True,
            "bool",
            "A control queue belongs to one connection.",
            status="moot",
        ),
        Setting(
            "queue_durable",
            False,
            "bool",
            "Control queues survive a broker restart.",
            status="moot",
        ),
        Setting("exchange", "celery", "str", "Prefix of the control exchanges.", status="active"),
    ],
)

SECURITY = group(
    "security",
    "CELERY_SECURITY_",
    [
        Setting("certificate", None, "str", "Certificate file that signs messages."),
        Setting("cert_store", None, "str", "Pattern of the certificate files that are trusted."),
        Setting("key", None, "str", "Private key file that signs messages.", is_secret=True),
        Setting("key_password", None, "bytes", "Password of the private key.", is_secret=True),
        Setting("digest", "sha256", "str", "Digest of signed messages."),
    ],
    note="messages cannot be signed yet",
)
