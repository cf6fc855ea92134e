"""The settings table against Celery's own, so that it cannot drift."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from celery.app import defaults as celery_defaults

import fastworker
from fastworker.app.legacy_settings import NEW_TO_OLD, OLD_TO_NEW
from fastworker.app.settings_check import expectation
from fastworker.app.settings_registry import DIFFERING, REGISTRY, Setting

CELERYS = {name: row for name, row in REGISTRY.items() if not row.is_ours}
CELERY_OPTIONS = dict(celery_defaults.flatten(celery_defaults.NAMESPACES))

# What Celery calls a kind, and what we hold such a setting to.
KINDS = {
    "string": {"str"},
    "str": {"str"},
    "bytes": {"bytes"},
    "any": {"any"},
    "bool": {"bool"},
    "dict": {"dict"},
    "float": {"float", "seconds"},
    "int": {"int"},
    int: {"int"},
    "list": {"list"},
    "tuple": {"list"},
}
# Where Celery's own documentation allows more, or something else, than its table says.
WIDER = {
    "timezone": "any",  # a tzinfo too
    "beat_scheduler": "any",  # a class too
    "broker_url": "any",  # a list of alternates
    "broker_read_url": "any",
    "broker_write_url": "any",
    "broker_failover_strategy": "any",  # a function too
    "broker_use_ssl": "any",  # True or a dict
    "broker_heartbeat_checkrate": "float",  # the default is 3.0
    "redis_backend_use_ssl": "any",
    "redis_db": "any",  # number or text
    "cassandra_port": "any",
    "cassandra_auth_kwargs": "any",  # a dict
    "result_backend": "any",  # a class too
    "task_default_delivery_mode": "any",  # number or name
    "task_default_priority": "int",
    "task_default_rate_limit": "any",  # number or text
    "task_queues": "any",  # a list of queues too
    "worker_agent": "any",
    "worker_autoscaler": "any",
    "worker_consumer": "any",
    "worker_pool": "any",
    "worker_redirect_stdouts_level": "any",  # number or name
    "worker_timer": "any",
}


def test_the_table_has_exactly_celerys_settings_and_our_own() -> None:
    assert set(CELERYS) == set(celery_defaults.DEFAULTS)


def test_defaults_are_celerys_except_where_we_say_why() -> None:
    ours = {name: row.default for name, row in CELERYS.items()} | {
        name: difference.celery for name, difference in DIFFERING.items()
    }
    assert ours == celery_defaults.DEFAULTS


def test_every_differing_default_has_a_reason_and_stands_in_the_table() -> None:
    for name, difference in DIFFERING.items():
        assert difference.reason
        assert REGISTRY[name].default == difference.ours
        assert difference.ours != difference.celery


def test_old_names_are_celerys() -> None:
    assert OLD_TO_NEW == celery_defaults._TO_NEW_KEY
    assert NEW_TO_OLD == celery_defaults._TO_OLD_KEY


@pytest.mark.parametrize("name", sorted(CELERYS))
def test_the_kind_of_a_setting_is_celerys(name: str) -> None:
    if name in WIDER:
        assert CELERYS[name].kind == WIDER[name]
    else:
        assert CELERYS[name].kind in KINDS[CELERY_OPTIONS[name].type]


@pytest.mark.parametrize("row", REGISTRY.values(), ids=lambda row: row.name)
def test_every_default_would_pass_validation(row: Setting) -> None:
    assert expectation(row, row.default) is None


@pytest.mark.parametrize("row", REGISTRY.values(), ids=lambda row: row.name)
def test_every_setting_has_one_line_of_documentation(row: Setting) -> None:
    assert row.doc.endswith(".")
    assert "\n" not in row.doc


def test_what_is_called_active_is_read_somewhere() -> None:
    package = Path(fastworker.__file__).parent
    files = [path for path in package.rglob("*.py") if path.parent.name != "settings_registry"]
    text = "\n".join(path.read_text() for path in files)
    names = re.finditer(r"""conf\.([a-z_]+)|["']([a-z_]+)["']""", text)
    read = {found[1] or found[2] for found in names}
    active = {name for name, row in REGISTRY.items() if row.status == "active"}
    assert active - read == set()
    ours = {name for name, row in REGISTRY.items() if row.is_ours}
    assert (ours - active) & read == set(), "read now: call it active"
