"""``FastWorker``: tasks and their names, configuration, the current application, what is
refused.
"""

from __future__ import annotations

import pickle
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from fastworker import FastWorker, current_app, current_task, shared_task
from fastworker.app.proxy import PromiseProxy
from fastworker.errors import DuplicateTaskNameWarning, ImproperlyConfigured, NotRegistered


def make(*args: Any, **kwargs: Any) -> FastWorker:
    return FastWorker(*args, **{"set_as_current": False, **kwargs})


def test_task_is_a_promise_until_it_is_used() -> None:
    app = make("m")
    reads = []
    app.on_after_configure.connect(lambda **_: reads.append(1), weak=False)

    @app.task
    def add(x: int, y: int) -> int:
        "Adds."
        return x + y

    assert add.__doc__ == "Adds."
    assert type(add) is PromiseProxy
    assert reads == []
    assert add(2, 3) == 5
    assert add.name == f"{__name__}.add"
    assert app.tasks[add.name] is add._get_current_object()  # type: ignore[attr-defined]
    assert reads == [1]


@pytest.mark.shows("task name")
def test_script_names_its_tasks_after_main(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make("proj")
    assert app.gen_task_name("add", "__main__") == "proj.add"
    assert make().gen_task_name("add", "__main__") == "__main__.add"
    assert app.gen_task_name("add", "shop.tasks") == "shop.tasks.add"


def test_bound_task_gets_itself() -> None:
    app = make()

    @app.task(bind=True, name="t", max_retries=9)
    def who(self: Any, x: int) -> Any:
        return self.name, self.max_retries, self.request.called_directly, x

    assert who(3) == ("t", 9, True, 3)


@pytest.mark.shows("setting task_time_limit", "setting task_acks_late")
def test_unset_attributes_come_from_settings() -> None:
    app = make(changes={"task_acks_late": False, "task_time_limit": 7, "task_track_started": True})
    task = app.task(name="t", time_limit=3)(lambda: None)
    assert (task.acks_late, task.time_limit, task.track_started) == (False, 3, True)
    assert (task.acks_on_failure, task.typing) == (True, True)


@pytest.mark.shows("setting task_annotations")
def test_annotations_change_tasks() -> None:
    app = make(task_annotations={"*": {"rate_limit": "1/s"}, "t": {"max_retries": 8}})
    task = app.task(name="t")(lambda: None)
    assert (task.rate_limit, task.max_retries) == ("1/s", 8)


@pytest.mark.shows("task base", "verb register_task", "handler __call__")
def test_base_class_and_class_based_tasks_work() -> None:
    app = make()

    class Base(app.Task):  # type: ignore[name-defined, misc]
        color = "red"

    class Count(app.Task):  # type: ignore[name-defined, misc]
        name = "count"

        def run(self, n: int) -> int:
            return n + 1

    assert app.task(base=Base, name="t")(lambda: None).color == "red"  # type: ignore[attr-defined]
    count = app.register_task(Count)
    assert count(1) == 2
    assert app.tasks["count"] is count
    assert count.app is app


def test_two_functions_of_one_name_warn() -> None:
    app = make()
    first = app.task(name="t")(lambda: 1)
    assert first() == 1
    second = app.task(name="t")(lambda: 2)
    with pytest.warns(DuplicateTaskNameWarning, match="'t' is already registered"):
        assert second() == 1


def test_unknown_task_is_a_key_error() -> None:
    with pytest.raises(NotRegistered) as caught:
        make().tasks["no.such"]
    assert isinstance(caught.value, KeyError)
    assert repr(caught.value).startswith("Task of kind")


def test_unfinalised_application_that_must_be_finalised_refuses() -> None:
    app = make(autofinalize=False)
    task = app.task(name="t")(lambda: 1)
    with pytest.raises(RuntimeError, match="Contract breach"):
        task.name  # noqa: B018
    app.finalize()
    assert task() == 1


def test_shared_task_belongs_to_every_application() -> None:
    early = make("early")
    early.finalize()

    @shared_task(name="lib.double")
    def double(x: int) -> int:
        return x * 2

    late = make("late")
    late.set_current()
    assert double.app is late
    assert double(2) == 4
    assert "lib.double" in early.tasks
    early.set_current()
    assert double.app is early


def test_sharing_one_function_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="more than once"):
        shared_task(shared_task(lambda: None))


def test_current_application_is_the_last_made_and_known_to_threads() -> None:
    app = FastWorker("last")
    assert current_app == app
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(current_app._get_current_object()))  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert seen == [app]
    other = make("default")
    other.set_default()
    assert current_app == app


@pytest.mark.shows("verb current_task")
def test_current_task_is_the_one_that_runs() -> None:
    app = make()

    @app.task(name="outer")
    def outer() -> Any:
        return current_task.name, inner()

    @app.task(name="inner")
    def inner() -> Any:
        return current_task.name

    assert outer() == ("outer", "inner")
    assert not current_task


def test_settings_come_from_objects_modules_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("proj_settings")
    module.CELERY_TASK_DEFAULT_QUEUE = "q"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "proj_settings", module)
    app = make()
    app.config_from_object("proj_settings", namespace="CELERY")
    assert app.conf.task_default_queue == "q"
    monkeypatch.setenv("PROJ", "proj_settings")
    other = make(namespace="CELERY")
    assert other.config_from_envvar("PROJ") is True
    assert other.conf["task_default_queue"] == "q"
    assert other.config_from_envvar("NOT_SET", silent=True) is False


def test_constructor_arguments_win_over_the_source() -> None:
    app = make(broker="redis://a/0", config_source={"broker_url": "redis://b/0", "timezone": "UTC"})
    assert (app.conf.broker_url, app.conf.timezone) == ("redis://a/0", "UTC")


@pytest.mark.shows(
    "signal app.on_configure", "signal app.on_after_configure", "signal app.on_after_finalize"
)
def test_configuration_hooks_run_in_order() -> None:
    app = make(config_source={"task_default_queue": "q"})
    order: list[Any] = []
    app.on_configure.connect(lambda **_: order.append("before"), weak=False)
    app.on_after_configure.connect(
        lambda source, **_: order.append(source.task_default_queue), weak=False
    )
    app.on_after_finalize.connect(lambda **_: order.append("finalised"), weak=False)
    app.finalize()
    assert order[-1] == "finalised"
    app.conf.task_default_queue  # noqa: B018
    assert [o for o in order if o != "finalised"] == ["before", "q"]


def test_command_line_settings_are_literals() -> None:
    app = make()
    app.config_from_cmdline(["worker.prefetch_multiplier=1", "task_track_started=true"])
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_track_started is True


def test_now_is_aware_and_in_the_timezone() -> None:
    app = make()
    assert str(app.now().tzinfo) == "UTC"
    assert app.uses_utc_timezone()
    app.conf.timezone = "Asia/Shanghai"
    assert str(app.timezone) == "Asia/Shanghai"
    app.conf.timezone = "Nowhere/City"
    with pytest.raises(ImproperlyConfigured, match="'Nowhere/City'"):
        app.now()


@pytest.mark.shows("setting broker_url")
def test_broker_is_a_file_beside_the_module_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make("m")
    assert app.broker_url == f"sqlite:///{Path(__file__).parent}/.fastworker/queue.db"
    assert app.result_url == app.broker_url
    assert "beside test_application.py" in app.broker_url_reason
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://env/0")
    assert (app.broker_url, app.result_url) == ("redis://env/0", None)
    assert app.broker_url_reason == "environment variable CELERY_BROKER_URL"
    monkeypatch.setenv("FASTWORKER_BROKER_URL", "redis://ours/0")
    assert app.broker_url == "redis://ours/0"
    assert make(broker="redis://x/0").broker_url_reason.startswith("environment")


def test_transport_options_cross_as_text() -> None:
    app = make(broker_transport_options={"visibility_timeout": 5, "sep": ":", "none": None})
    assert app.broker.options == {"visibility_timeout": "5", "sep": ":"}


@pytest.mark.shows("setting result_backend_transport_options", "setting broker_host")
def test_result_store_has_options_of_its_own_and_an_old_name_names_the_broker() -> None:
    app = FastWorker("proj", set_as_current=False)
    app.conf.broker_host = "redis://old/1"
    app.conf.result_backend_transport_options = {"global_keyprefix": "x"}
    assert app.broker.url == "redis://old/1"
    assert app.broker.result_options == {"global_keyprefix": "x"}
    assert app.broker.options == {}


@pytest.mark.parametrize("argument", ["amqp", "events", "log", "control", "fixups", "loader"])
def test_parts_of_celery_are_refused(argument: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=argument):
        make(**{argument: "mine:Thing"})


@pytest.mark.parametrize("attribute", ["amqp", "log", "add_periodic_task", "pool"])
def test_what_is_not_there_says_so(attribute: str) -> None:
    with pytest.raises(NotImplementedError, match=attribute):
        getattr(make(), attribute)


@pytest.mark.shows("setting imports", "setting include", "signal import_modules")
def test_modules_with_tasks_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text("LOADED = True")
    (tmp_path / "extra_mod.py").write_text("LOADED = True")
    monkeypatch.syspath_prepend(str(tmp_path))
    app = make(include=["extra_mod"])
    app.autodiscover_tasks(lambda: ["shop_pkg"])
    assert "shop_pkg.tasks" not in sys.modules
    app.import_task_modules()
    assert sys.modules["shop_pkg.tasks"].LOADED
    assert sys.modules["extra_mod"].LOADED
    app.autodiscover_tasks(["json"], force=True)
    broken = make()
    broken.autodiscover_tasks(["no_such_package"])
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        broken.import_task_modules()


def test_task_is_pickled_by_name() -> None:
    app = FastWorker("m")
    task = app.task(name="t")(lambda: 1)
    assert pickle.loads(pickle.dumps(task)) is app.tasks["t"]
