"""Settings without a prefix."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

ROOT = group(
    "",
    "",
    [
        Setting(
            "accept_content",
            ("json",),
            "list",
            "Serialisers (names or content types) that may be read from messages.",
            old=("CELERY_ACCEPT_CONTENT",),
            status="active",
        ),
        Setting(
            "result_accept_content",
            None,
            "list",
            "Serialisers that may be read from stored results; unset: as accept_content.",
            status="active",
        ),
        Setting(
            "enable_utc",
            True,
            "bool",
            "Write times in UTC instead of the local zone.",
            status="active",
        ),
        Setting(
            "imports",
            (),
            "list",
            "Modules that a worker imports at start, so that their tasks are registered.",
            old=("CELERY_IMPORTS",),
            status="active",
        ),
        Setting(
            "include",
            (),
            "list",
            "More modules that a worker imports at start, after imports.",
            old=("CELERY_INCLUDE",),
            status="active",
        ),
        Setting(
            "timezone",
            None,
            "any",
            "Zone of naive times and of schedules, as an IANA name; unset: UTC.",
            old=("CELERY_TIMEZONE",),
            status="active",
        ),
    ],
)
