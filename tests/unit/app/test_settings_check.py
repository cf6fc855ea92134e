"""Settings that cannot be used are refused, nearly right names corrected, unused ones named."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fastworker.app.settings import Settings
from fastworker.app.settings_check import check, misspelt
from fastworker.app.unacted import unacted
from fastworker.errors import ImproperlyConfigured


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("task_acks_late", "true", "expected True or False, not str; try True"),
        ("task_time_limit", "60", "expected a number, not str"),
        ("task_time_limit", -1, "expected at least 0"),
        ("worker_lease_life", timedelta(0), "expected at least 1"),
        ("result_expires", "1 day", "a number of seconds or a timedelta, not str"),
        ("task_max_deliveries", 0, "expected at least 1"),
        ("task_protocol", 3, "expected one of 1, 2"),
        ("worker_concurrency", "four", "or 'auto'; try 'auto'"),
        ("worker_concurrency", True, "or 'auto'; try 'auto'"),
        ("timezone", "Mars/Olympus", "an IANA zone name"),
        ("broker_url", 6379, "a URL or a list of URLs"),
        ("broker_transport_options", ["x"], "a dict, not list"),
        ("task_default_rate_limit", "10/x", "try '10/m'"),
        ("worker_log_style", "xml", "one of 'text', 'json'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_was_expected(
    name: str, value: Any, text: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        check(Settings(changes={name: value}))
    assert f"setting {name} is {value!r}" in str(error.value)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("worker_concurrency", "4"),
        ("worker_concurrency", "auto"),
        ("worker_concurrency", None),
        ("broker_heartbeat", 10.0),
        ("result_expires", 3600),
        ("result_expires", timedelta(hours=1)),
        ("task_always_eager", 1),
        ("timezone", "Asia/Shanghai"),
        ("imports", "myproject.tasks"),
        ("broker_url", ["redis://a", "redis://b"]),
        ("unknown_third_party", object()),
    ],
)
def test_a_value_that_can_be_used_passes(name: str, value: Any) -> None:
    check(Settings(changes={name: value}))


def test_all_problems_are_said_at_once_by_the_names_that_were_used() -> None:
    conf = Settings(
        loader=lambda: {"CELERY_WORKER_CONCURRENCY": "x", "CELERY_TASK_TIME_LIMIT": "y"},
        namespace="CELERY",
    )
    with pytest.raises(ImproperlyConfigured) as error:
        check(conf)
    assert "CELERY_WORKER_CONCURRENCY" in str(error.value)
    assert "CELERY_TASK_TIME_LIMIT" in str(error.value)


def test_a_refused_value_is_masked() -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        check(Settings(changes={"redis_password": 12345}))
    assert "12345" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("task_ack_late", "task_acks_late"),
        ("TASK_ACKS_LATE", "task_acks_late"),
        ("results_backend", "result_backend"),
        ("worker_prefetch_multipler", "worker_prefetch_multiplier"),
    ],
)
def test_a_misspelt_setting_names_the_nearest(name: str, meant: str) -> None:
    found = misspelt(Settings(changes={name: 1}))
    assert [str(entry) for entry in found] == [
        f"setting {name!r} is not one that fastworker knows; did you mean {meant!r}?"
    ]


@pytest.mark.parametrize("name", ["redbeat_redis_url", "my_own_thing", "PORT", "DEBUG"])
def test_a_third_partys_setting_is_not_taken_for_a_misspelt_one(name: str) -> None:
    assert misspelt(Settings(changes={name: 1})) == []


def test_the_rest_of_a_django_settings_module_is_not_misspelt() -> None:
    conf = Settings(
        loader=lambda: {"TASK_ACKS_LATE": 1, "CELERY_TASK_ACK_LATE": 1}, namespace="CELERY"
    )
    assert [(entry.name, entry.meant) for entry in misspelt(conf)] == [
        ("CELERY_TASK_ACK_LATE", "task_acks_late")
    ]


def test_a_misspelt_setting_is_among_those_without_effect() -> None:
    (line,) = unacted(Settings(changes={"task_ack_late": True}))
    assert "did you mean 'task_acks_late'" in line


def test_a_setting_that_is_not_acted_upon_is_named_once() -> None:
    (line,) = unacted(Settings(changes={"security_digest": "sha512", "task_serializer": "json"}))
    assert "security_digest is kept, but" in line
    assert "messages cannot be signed yet" in line


def test_a_setting_without_a_counterpart_says_that_it_has_no_effect() -> None:
    (line,) = unacted(Settings(changes={"worker_pool_putlocks": False}))
    assert "has no effect: no lock is between a process and its tasks" in line


def test_a_setting_at_its_default_is_not_worth_a_line() -> None:
    assert unacted(Settings(changes={"beat_sync_every": 0, "broker_use_ssl": None})) == []


def test_a_setting_that_somebody_else_acts_on_is_not_worth_a_line() -> None:
    settings = Settings(
        changes={"database_table_names": {"task": "t"}, "security_digest": "sha512"}
    )
    assert len(unacted(settings)) == 2
    (line,) = unacted(settings, {"database_table_names"})
    assert "security_digest" in line
