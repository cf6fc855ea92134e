"""The pytest plugins. Celery's documented examples run with the import root replaced, and with the real one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workers import ROOT

#: From Celery's guide "Testing with Celery", gathered in one suite.
CONFTEST = """
import pytest

pytest_plugins = ("{root}.contrib.pytest",)

@pytest.fixture(scope="session")
def celery_config():
    return {{"task_default_queue": "tested"}}

@pytest.fixture(scope="session")
def celery_parameters():
    return {{"task_cls": "my_tasks:MyTask", "strict_typing": False}}

@pytest.fixture(scope="session")
def celery_includes():
    return ["my_tasks"]

@pytest.fixture(scope="session")
def celery_class_tasks():
    from my_tasks import ClassTask
    return [ClassTask()]

@pytest.fixture(scope="session")
def celery_worker_pool():
    return "solo"

@pytest.fixture(scope="session")
def celery_worker_parameters():
    return {{"queues": ("tested", "other"), "concurrency": 2}}
"""
TASKS = """
import {root}

class MyTask({root}.Task):
    flavour = "mine"

class ClassTask({root}.Task):
    name = "class_task"
    def run(self, x):
        return x + 1

@{root}.shared_task(name="included")
def included():
    return "included"
"""
SUITE = """
import pytest
import my_tasks
from {root} import current_app, shared_task

def test_create_task(celery_app, celery_worker):
    @celery_app.task
    def mul(x, y):
        return x * y

    celery_worker.reload()
    assert mul.delay(4, 4).get(timeout=10) == 16
    assert mul.flavour == "mine"

def test_session(celery_session_app, celery_session_worker):
    assert current_app._get_current_object() is celery_session_app
    assert celery_session_app.send_task("included").get(timeout=10) == "included"
    assert celery_session_app.tasks["class_task"].delay(1).get(timeout=10) == 2

@pytest.mark.celery(result_backend="cache+memory://marked", task_default_queue="other")
def test_marker(celery_app):
    assert celery_app.conf.result_backend == "cache+memory://marked"
    assert celery_app.conf.task_default_queue == "other"
    assert celery_app.conf.timezone == "UTC"

def test_unmarked(celery_app):
    assert celery_app.conf.task_default_queue == "tested"
    assert celery_app.conf.accept_content == {{"json"}}

@pytest.mark.usefixtures("depends_on_current_app")
class TestSomething:
    def test_current(self, celery_app):
        assert current_app._get_current_object() is celery_app

class TestNotSet:
    def test_not_current(self, celery_app):
        assert current_app._get_current_object() is not celery_app

def test_leaves_a_task(celery_app):
    @celery_app.task(name="left")
    def left():
        return 1
    assert "left" in celery_app.tasks

def test_does_not_see_it(celery_app):
    assert "left" not in celery_app.tasks
"""
TRAP_CONFTEST = """
import pytest

pytest_plugins = ("{root}.contrib.pytest",)

@pytest.fixture(scope="session")
def use_celery_app_trap():
    return True
"""
TRAP_SUITE = """
import pytest
from {root} import current_app, shared_task

@shared_task
def shared():
    return 1

def test_trap(celery_app):
    with pytest.raises(RuntimeError, match="Test depends on current_app"):
        current_app.conf
    with pytest.raises(RuntimeError, match="Test depends on current_app"):
        shared.delay()

@pytest.mark.usefixtures("depends_on_current_app")
def test_depends(celery_app):
    assert current_app.conf.timezone == "UTC"
"""


def _run(directory: Path, root: str, **files: str) -> dict[str, int]:
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text.format(root=root))
    options = ["-q", "-p", "no:cacheprovider", "--strict-markers", "-W", "error"]
    if root == "celery":
        options += ["-W", "ignore"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(directory)],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{directory}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    last = ended.stdout.strip().splitlines()[-1]
    counts = {word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", last)}
    assert not counts.keys() & {"failed", "error", "errors"}, ended.stdout + ended.stderr
    counts.pop("in", None)
    return counts


@pytest.mark.parametrize("root", ["celery", "fastworker"])
def test_the_documented_examples_run(tmp_path: Path, root: str) -> None:
    counts = _run(tmp_path, root, conftest=CONFTEST, my_tasks=TASKS, test_suite=SUITE)
    assert counts == {"passed": 8}


@pytest.mark.parametrize("root", ["celery", "fastworker"])
def test_the_trap_catches_whoever_uses_the_current_application(tmp_path: Path, root: str) -> None:
    counts = _run(tmp_path, root, conftest=TRAP_CONFTEST, test_suite=TRAP_SUITE)
    assert counts == {"passed": 2}


OWN_NAMES = """
import pytest

pytest_plugins = ({plugins})

@pytest.fixture(scope="session")
def fastworker_config():
    return {{"task_default_queue": "ours"}}
"""
OWN_SUITE = """
import pytest

def test_worker(fastworker_app, fastworker_worker):
    @fastworker_app.task
    def mul(x, y):
        return x * y

    fastworker_worker.reload()
    assert mul.delay(4, 4).get(timeout=10) == 16
    assert fastworker_worker.settings.queues == ["ours"]

@pytest.mark.fastworker(task_default_queue="marked")
def test_marker(fastworker_app):
    assert fastworker_app.conf.task_default_queue == "marked"

def test_session(fastworker_session_worker, fastworker_session_app):
    assert fastworker_session_worker.app is fastworker_session_app

def test_celery_name(celery_app):
    assert celery_app.__class__.__module__.startswith("{celery_is}")
"""


@pytest.mark.parametrize(
    ("plugins", "celery_is"),
    [
        ('"fastworker.contrib.pytest",', "fastworker"),
        ('"celery.contrib.pytest", "fastworker.testing.plugin"', "celery"),
    ],
)
def test_our_own_names_stand_beside_celerys_or_its_plugin(
    tmp_path: Path, plugins: str, celery_is: str
) -> None:
    files = {"conftest": OWN_NAMES.replace("{plugins}", plugins)}
    suite = OWN_SUITE.replace("{celery_is}", celery_is)
    assert _run(tmp_path, "fastworker", test_suite=suite, **files) == {"passed": 4}
