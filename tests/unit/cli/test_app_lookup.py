"""What ``-A`` may name, and what is said when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastworker.cli.app_lookup import AppImportFailed, AppNotFound, find_app

APP = "from fastworker import FastWorker\n{name} = FastWorker({main!r}, set_as_current=False)\n"


def write(project: Path, file: str, text: str) -> None:
    path = project / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def app_named(name: str, main: str = "found") -> str:
    return APP.format(name=name, main=main)


@pytest.mark.parametrize(
    ("file", "attribute", "spec"),
    [
        ("fwt_a.py", "app", "fwt_a"),
        ("fwt_a.py", "celery", "fwt_a"),
        ("fwt_a.py", "queue", "fwt_a"),
        ("fwt_a.py", "queue", "fwt_a:queue"),
        ("fwt_a.py", "queue", "fwt_a.queue"),
        ("fwt_a/__init__.py", "app", "fwt_a"),
        ("fwt_a/celery.py", "app", "fwt_a"),
        ("fwt_a/fastworker.py", "app", "fwt_a"),
        ("fwt_a/jobs.py", "app", "fwt_a.jobs"),
        ("fwt_a/jobs.py", "queue", "fwt_a.jobs:queue"),
        ("fwt_a/jobs.py", "queue", "fwt_a.jobs.queue"),
    ],
)
def test_the_app_is_found(project: Path, file: str, attribute: str, spec: str) -> None:
    write(project, "fwt_a/__init__.py" if "/" in file else file, "")
    write(project, file, app_named(attribute))
    assert find_app(spec).main == "found"


def test_a_module_called_celery_beside_the_app_is_not_taken_for_it(project: Path) -> None:
    write(project, "fwt_a/__init__.py", "from fwt_a.celery import app as queue\n")
    write(project, "fwt_a/celery.py", app_named("app"))
    assert find_app("fwt_a").main == "found"
    assert find_app("fwt_a.celery").main == "found"


def test_an_attribute_app_that_is_something_else_is_passed_over(project: Path) -> None:
    write(project, "fwt_a.py", "app = object()\n" + app_named("queue"))
    assert find_app("fwt_a").main == "found"


def test_a_missing_module_names_the_nearest_one_here(project: Path) -> None:
    write(project, "fwt_tasks.py", "")
    with pytest.raises(AppNotFound, match=r"no module 'fwt_taks'.*did you mean 'fwt_tasks'"):
        find_app("fwt_taks")


def test_a_missing_attribute_names_the_nearest(project: Path) -> None:
    write(project, "fwt_a.py", app_named("queue"))
    with pytest.raises(AppNotFound, match=r"no attribute 'quueue'.*did you mean 'queue'"):
        find_app("fwt_a:quueue")


def test_a_module_without_an_app_says_what_was_tried(project: Path) -> None:
    write(project, "fwt_a.py", "x = 1\n")
    with pytest.raises(AppNotFound, match=r"looked for fwt_a:app, fwt_a:celery") as caught:
        find_app("fwt_a")
    assert "app = FastWorker('fwt_a')" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("x = 1\n", "is a int"), ("import json as x\n", "is a module")]
)
def test_something_else_than_an_app_is_refused(project: Path, text: str, said: str) -> None:
    write(project, "fwt_a.py", text)
    with pytest.raises(AppNotFound, match=said):
        find_app("fwt_a:x")


def test_an_app_of_celery_itself_is_hosted(project: Path) -> None:
    write(
        project,
        "fwt_a.py",
        "from celery import Celery\n"
        "app = Celery('x', broker='redis://somewhere/1', set_as_current=False)\n"
        "app.conf.task_default_queue = 'mine'\n",
    )
    with find_app("fwt_a") as found:
        assert type(found).__name__ == "HostedApp"
        assert (found.conf.broker_url, found.conf.task_default_queue) == (
            "redis://somewhere/1",
            "mine",
        )


@pytest.mark.parametrize("spec", ["", ":app", ".x", "fwt_a:", "a..b"])
def test_a_malformed_name_is_refused(project: Path, spec: str) -> None:
    write(project, "fwt_a.py", "")
    with pytest.raises(AppNotFound):
        find_app(spec)


@pytest.mark.parametrize("spec", ["fwt_a", "fwt_a:app", "fwt_a.app"])
@pytest.mark.parametrize(
    "text", ["import fwt_missing\n", "1 / 0\n", "x = (\n", "raise ValueError('no')\n"]
)
def test_an_error_inside_the_module_is_the_cause(project: Path, spec: str, text: str) -> None:
    write(project, "fwt_a.py", text)
    with pytest.raises(AppImportFailed, match="cannot import 'fwt_a'") as caught:
        find_app(spec)
    assert caught.value.__cause__ is not None
