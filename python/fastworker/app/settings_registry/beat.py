"""beat_*: the scheduler process."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

BEAT = group(
    "beat",
    "CELERYBEAT_",
    [
        Setting(
            "enable_remote_control", False, "bool", "Let beat answer ping as a node of its own."
        ),
        Setting(
            "remote_control_max_tick_age",
            None,
            "float",
            "Seconds without a tick after which beat stops answering ping; unset: none.",
            low=0,
        ),
        Setting(
            "max_loop_interval",
            0,
            "float",
            "Longest sleep between two looks at the schedule, seconds; 0: the scheduler's own.",
            low=0,
        ),
        Setting(
            "schedule", {}, "dict", "Periodic tasks: name to task, schedule, args, kwargs, options."
        ),
        Setting(
            "scheduler",
            "celery.beat:PersistentScheduler",
            "any",
            "Scheduler class, as module:name.",
        ),
        Setting(
            "schedule_filename", "celerybeat-schedule", "str", "File that remembers the last runs."
        ),
        Setting(
            "sync_every",
            0,
            "int",
            "Write the file after this many sent tasks; 0: by time only.",
            low=0,
        ),
        Setting(
            "cron_starting_deadline",
            None,
            "int",
            "Seconds a missed crontab run may be late and still be sent; unset: any.",
            low=0,
        ),
    ],
    note="there is no beat yet: run Celery's",
)
