"""database_* and cache_*: results in SQL databases and in memcached."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

DATABASE = group(
    "database",
    "DATABASE_",
    [
        Setting(
            "url",
            None,
            "str",
            "Database URL, when result_backend is 'db'.",
            old=("CELERY_RESULT_DBURI",),
        ),
        Setting(
            "engine_options",
            {"pool_pre_ping": True, "pool_recycle": 3600},
            "dict",
            "Arguments of SQLAlchemy's create_engine.",
            old=("CELERY_RESULT_ENGINE_OPTIONS",),
        ),
        Setting("engine_callback", None, "any", "Called with each engine that is made."),
        Setting(
            "short_lived_sessions",
            False,
            "bool",
            "Open a new session for every operation.",
            old=("CELERY_RESULT_DB_SHORT_LIVED_SESSIONS",),
        ),
        Setting("table_schemas", None, "dict", "Schema of each table: task, group."),
        Setting(
            "table_names",
            None,
            "dict",
            "Name of each table: task, group.",
            old=("CELERY_RESULT_DB_TABLENAMES",),
        ),
        Setting(
            "create_tables_at_setup",
            True,
            "bool",
            "Make the tables at start instead of at first use.",
        ),
    ],
    note="there is no result store on SQLAlchemy yet",
)

CACHE = group(
    "cache",
    "CELERY_CACHE_",
    [
        Setting("backend", None, "str", "URL of the cache, when result_backend is 'cache'."),
        Setting("backend_options", {}, "dict", "Options of the cache client."),
    ],
    note="there is no such result store yet",
)
