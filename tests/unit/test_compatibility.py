"""docs/compatibility.md: its rows are Celery's names, and each claim has a test that exists."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

import celery.signals
import celery.worker.control
import pytest
from celery.app.task import Context
from celery.app.task import Task as CeleryTask

from docs import compatibility
from docs.compatibility_items import ITEMS
from fastworker.app.options import split_options
from fastworker.app.task import Task

#: Attributes of Celery's Task that are verbs, hooks or internals, not options.
_NOT_OPTIONS = {"MaxRetriesExceededError", "OperationalError", "abstract", "app", "from_config"}


def missing_rows(area: str, names: Iterable[str]) -> set[str]:
    return set(names) - set(ITEMS[area][1])


def test_every_claim_has_a_test_and_every_mark_a_row() -> None:
    assert compatibility.problems() == []


def test_every_option_of_celerys_task_has_a_row() -> None:
    options = {
        name
        for name, value in vars(CeleryTask).items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, property)
    }
    options -= {
        *_NOT_OPTIONS,
        "request_stack",
        *(name for name in options if isinstance(vars(CeleryTask)[name], classmethod)),
    }
    assert missing_rows("task", options) == set()


def test_every_control_command_of_celery_has_a_row() -> None:
    rest = missing_rows("control", celery.worker.control.Panel.meta)
    assert missing_rows("event", rest) == set()


def test_every_option_of_celerys_call_has_a_row() -> None:
    parameters = {
        name
        for function in (CeleryTask.apply_async, celery.Celery.send_task)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    ours_in_no_call = {"self", "name", "publisher", "route_name", "router", "result_cls"}
    beside = {"chain", "retries", "task_type", "replaced_task_nesting"}
    assert missing_rows("call", parameters - ours_in_no_call - beside) == set()


def test_every_call_option_that_works_is_taken() -> None:
    ways_of_their_own = {"args", "kwargs", "link", "link_error", "add_to_parent", "task_id"}
    for name, status in ITEMS["call"][1].items():
        if status.startswith("works") and name not in ways_of_their_own:
            split_options({name: None})


def test_every_task_option_that_works_is_an_attribute_or_is_taken_by_the_decorator() -> None:
    by_decorator = {"bind", "base", "lazy", "shared", "filter"}
    autoretry = {
        name for name in ITEMS["task"][1] if name.startswith(("retry_", "autoretry", "dont_"))
    }
    pydantic = {name for name in ITEMS["task"][1] if name.startswith("pydantic")}
    for name, status in ITEMS["task"][1].items():
        if status.startswith("works") and name not in by_decorator | autoretry | pydantic:
            assert hasattr(Task, name), name


def test_every_attribute_of_celerys_request_has_a_row() -> None:
    methods = {"update", "clear", "as_execution_options"}
    names = {name for name in vars(Context) if not name.startswith("_")}
    assert missing_rows("request", names - methods) == set()


def test_every_signal_of_celery_has_a_row() -> None:
    assert missing_rows("signal", celery.signals.__all__) == set()


def test_a_claim_without_a_test_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ITEMS["call"][1], "teleport", "works")
    (problem,) = compatibility.problems()
    assert "'call teleport' says 'works' and no test shows it" in problem


def test_a_mark_without_a_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compatibility, "marks", lambda: [("tests/x.py::test_y", ("call no",))])
    assert any("'call no', which is no row" in line for line in compatibility.problems())


def test_marks_are_read_from_sources_as_pytest_ids() -> None:
    found = dict(compatibility.marks())
    node = "tests/acceptance/test_calls.py::test_countdown_is_waited_for"
    assert found[node] == ("call countdown",)
    for test in found:
        assert (Path(compatibility.ROOT) / test.partition("::")[0]).is_file()
