"""``app.conf``: layers, spellings, laziness, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from fastworker.app.settings import Settings
from fastworker.errors import ImproperlyConfigured


def settings_of(source: Mapping[str, Any], **kwargs: Any) -> Settings:
    return Settings(loader=lambda: source, **kwargs)


def test_a_setting_nobody_set_has_its_default() -> None:
    conf = Settings()
    assert conf.result_expires == timedelta(days=1)
    assert conf["task_default_queue"] == "celery"


def test_tasks_are_acknowledged_late_by_default() -> None:
    assert Settings().task_acks_late is True


def test_changes_win_over_the_source_and_the_source_over_defaults() -> None:
    conf = settings_of({"task_default_queue": "a", "task_serializer": "yaml"})
    conf.task_default_queue = "b"
    assert (conf.task_default_queue, conf.task_serializer) == ("b", "yaml")


def test_defaults_added_by_the_app_lie_under_the_source() -> None:
    conf = settings_of({"task_serializer": "yaml"})
    conf.add_defaults({"task_serializer": "pickle", "result_serializer": "pickle"})
    assert (conf.task_serializer, conf.result_serializer) == ("yaml", "pickle")


def test_the_source_is_loaded_at_the_first_read_and_once() -> None:
    loads: list[str] = []

    def load() -> dict[str, Any]:
        loads.append("loaded")
        return {"task_default_queue": "a"}

    conf = Settings(loader=load)
    conf.task_serializer = "json"
    conf.update(enable_utc=False)
    conf.setdefault("timezone", "UTC")
    assert loads == []
    assert conf.task_default_queue == "a"
    assert conf.task_default_queue == "a"
    assert loads == ["loaded"]


def test_reading_inside_the_loader_sees_the_changes() -> None:
    conf = Settings(
        changes={"task_default_queue": "a"}, loader=lambda: {"x_seen": conf.task_default_queue}
    )
    assert conf.x_seen == "a"


def test_on_loaded_may_read_and_change() -> None:
    def on_loaded(conf: Settings) -> None:
        conf.task_default_queue += "-late"

    conf = settings_of({"task_default_queue": "a"}, on_loaded=on_loaded)
    assert conf.task_default_queue == "a-late"


def test_every_change_raises_the_version_and_a_read_does_not() -> None:
    conf = Settings()
    conf.get("timezone")
    seen = [conf.version]
    for change in (
        lambda: setattr(conf, "timezone", "UTC"),
        lambda: conf.update({"timezone": "UTC"}),
        lambda: conf.pop("timezone"),
        lambda: conf.add_defaults({"timezone": "UTC"}),
        lambda: conf.use_source(dict),
    ):
        change()
        seen.append(conf.version)
    assert seen == sorted(set(seen))
    conf.get("timezone")
    again = conf.version
    assert conf.timezone == "UTC"
    assert conf.version == again


@pytest.mark.parametrize(
    ("source", "namespace"),
    [
        ({"task_acks_late": False}, None),
        ({"CELERY_ACKS_LATE": False}, None),
        ({"CELERY_TASK_ACKS_LATE": False}, "CELERY"),
        ({"celery_task_acks_late": False}, "celery"),
        ({"MY_TASK_ACKS_LATE": False}, "MY_"),
        ({"task_acks_late": False}, "CELERY"),
        ({"CELERY_ACKS_LATE": False}, "CELERY"),
    ],
)
def test_every_spelling_of_a_setting_is_understood(
    source: dict[str, Any], namespace: str | None
) -> None:
    conf = settings_of(source, namespace=namespace)
    assert conf.task_acks_late is False
    assert conf["CELERY_ACKS_LATE"] is False


def test_a_prefixed_name_in_changes_is_understood_whenever_the_namespace_becomes_known() -> None:
    conf = Settings()
    conf.update(CELERY_TASK_TIME_LIMIT=3)
    conf.use_source(dict, namespace="CELERY")
    assert conf.task_time_limit == 3


def test_mixing_old_and_new_names_says_what_to_rename() -> None:
    conf = settings_of({"CELERY_ACKS_LATE": True, "task_serializer": "json", "enable_utc": True})
    with pytest.raises(ImproperlyConfigured, match=r"CELERY_ACKS_LATE +-> task_acks_late"):
        conf.get("timezone")


def test_mixing_with_mostly_old_names_says_how_the_new_ones_were_called() -> None:
    conf = settings_of({"CELERY_ACKS_LATE": True, "BROKER_URL": "x://", "task_serializer": "json"})
    with pytest.raises(ImproperlyConfigured, match=r"task_serializer +-> CELERY_TASK_SERIALIZER"):
        conf.get("timezone")


def test_a_setting_in_both_spellings_is_a_migration_under_way() -> None:
    conf = settings_of({"CELERY_ACKS_LATE": True, "task_acks_late": False})
    assert conf.task_acks_late is False


def test_our_own_settings_mix_with_old_names() -> None:
    conf = settings_of({"CELERY_ACKS_LATE": True, "BROKER_URL": "x://", "worker_lease_life": 5})
    assert conf.worker_lease_life == 5


def test_a_failed_load_is_tried_again_at_the_next_read() -> None:
    answers: list[Any] = [KeyError("SECRET_KEY"), {"task_default_queue": "a"}]

    def load() -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    conf = Settings(loader=load)
    with pytest.raises(ImproperlyConfigured, match="could not be read: KeyError"):
        conf.task_default_queue  # noqa: B018
    assert conf.task_default_queue == "a"


def test_a_new_source_keeps_what_was_set_before_the_first_load() -> None:
    conf = Settings(changes={"task_serializer": "yaml"}, loader=lambda: {"enable_utc": False})
    assert conf.enable_utc is False
    conf.timezone = "Asia/Shanghai"
    conf.use_source(lambda: {"task_default_queue": "a"})
    assert (conf.task_serializer, conf.task_default_queue) == ("yaml", "a")
    assert (conf.enable_utc, conf.timezone) == (True, None)


def test_unknown_keys_are_kept_for_third_parties() -> None:
    conf = settings_of({"redbeat_redis_url": "redis://h/1"})
    assert conf.redbeat_redis_url == "redis://h/1"
    assert conf.get("redbeat_lock_key") is None


def test_reading_an_unknown_attribute_names_the_nearest_setting() -> None:
    with pytest.raises(AttributeError, match="did you mean 'result_expires'"):
        Settings().results_expires  # noqa: B018


def test_a_default_dict_is_not_shared_between_apps() -> None:
    Settings().beat_schedule["x"] = 1
    assert Settings().beat_schedule == {}


@pytest.mark.shows("setting broker_read_url", "setting broker_write_url")
def test_the_environment_wins_for_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = settings_of({"broker_url": "redis://a", "result_backend": "redis://b"})
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://c")
    assert conf.broker_url == conf.broker_read_url == conf["broker_write_url"] == "redis://c"
    monkeypatch.setenv("FASTWORKER_BROKER_URL", "redis://d")
    assert conf.broker_url == "redis://d"
    assert conf.result_backend == "redis://b"


def test_djangos_time_zone_is_used_when_there_is_no_timezone() -> None:
    assert settings_of({"TIME_ZONE": "Asia/Tokyo"}, namespace="CELERY").timezone == "Asia/Tokyo"


@pytest.mark.shows("setting task_default_exchange", "setting task_default_routing_key")
def test_exchange_and_routing_key_default_to_the_queue() -> None:
    conf = Settings(changes={"task_default_queue": "mail"})
    assert (conf.task_default_exchange, conf.task_default_routing_key) == ("mail", "mail")


def test_value_set_for_tells_defaults_apart() -> None:
    conf = settings_of({"CELERY_ACKS_LATE": True})
    assert conf.value_set_for("task_acks_late")
    assert not conf.value_set_for("task_serializer")


def test_the_table_shows_what_was_set_with_secrets_masked() -> None:
    conf = settings_of(
        {
            "broker_url": "redis://me:hunter2@h:6379/0",
            "redis_password": "hunter2",
            "my_api_token": "hunter2",
            "broker_transport_options": {"sentinel_kwargs": {"password": "hunter2"}},
            "task_default_routing_key": "mail",
        }
    )
    assert "hunter2" not in repr(conf.table())
    assert "hunter2" not in conf.humanize(with_defaults=True)
    assert "hunter2" not in repr(conf)
    assert conf.table()["broker_url"] == "redis://me:********@h:6379/0"
    assert conf.table()["task_default_routing_key"] == "mail"
    assert conf.table(censored=False)["redis_password"] == "hunter2"


def test_the_table_leaves_out_the_rest_of_a_django_settings_module() -> None:
    conf = settings_of({"CELERY_TASK_SERIALIZER": "json", "INSTALLED_APPS": []}, namespace="CELERY")
    assert conf.table() == {"task_serializer": "json"}
    assert conf.INSTALLED_APPS == []


def test_a_copy_changes_alone() -> None:
    conf = settings_of({"task_default_queue": "a"})
    twin = conf.copy()
    twin.task_default_queue = "b"
    assert (conf.task_default_queue, twin.task_default_queue) == ("a", "b")
