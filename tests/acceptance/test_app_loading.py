"""Projects as users write them: files in a folder, found by name, configured in Celery's ways."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import PRODUCT, RUNNER
from tests.support.workers import WorkerProcess, command

APP = "from celery import Celery" if PRODUCT == "celery" else "from fastworker import FastWorker"
CLASS = "Celery" if PRODUCT == "celery" else "FastWorker"
TIMEOUT_S = 20


class Project:
    """A folder of Python files, and the two processes that a user runs in it."""

    def __init__(self, folder: Path, broker: str, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.broker = broker
        self._stack = stack

    def write(self, name: str, text: str) -> None:
        """Write a file; words between at signs become the product's, or this test's broker."""
        words = {
            "CLASS": CLASS,
            "IMPORT": APP,
            "ROOT": PRODUCT,
            "URL": self.broker,
            "WHERE": f'broker="{self.broker}", backend="{self.broker}"',
        }
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def worker(self, *arguments: str, **environment: str) -> WorkerProcess:
        """Start a worker here and wait until it is ready."""
        line = (command(RUNNER), *arguments, "worker", "--loglevel", "INFO", "--concurrency", "1")
        started = WorkerProcess(line, environment, self.folder)
        return self._stack.enter_context(started).wait_ready()

    def python(self, code: str, folder: Path | None = None) -> str:
        """Run client code here (or in another folder, importing from here); what it prints."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=folder or self.folder,
            env={"PYTHONPATH": str(self.folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def project(broker_url: str, tmp_path: Path) -> Iterator[Project]:
    """An empty project folder on each broker."""
    folder = tmp_path / "project"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        yield Project(folder, broker_url, stack)


@pytest.fixture
def main(project: Project) -> Callable[[str], None]:
    """Writes ``tasks.py`` with the app and the given lines below it."""

    def write(text: str) -> None:
        head = '@IMPORT@\napp = @CLASS@("myapp", @WHERE@)\n'
        project.write("tasks.py", head + text)

    return write


ADD = "\n@app.task\ndef add(x, y):\n    return x + y\n"
CALL_ADD = "from tasks import add; print(add.delay(2, 2).get(timeout=20), add.name)"


def test_module_of_the_readme_runs(project: Project) -> None:
    project.write(
        "tasks.py",
        '@IMPORT@\napp = @CLASS@("myapp", @WHERE@, include=["myapp.more"])\n'
        'app.conf.update(result_expires=3600, task_serializer="json", timezone="Asia/Shanghai", '
        "enable_utc=True)\n" + ADD,
    )
    project.write("myapp/__init__.py", "")
    project.write(
        "myapp/more.py", "from tasks import app\n@app.task\ndef more():\n    return 'more'\n"
    )
    worker = project.worker("-A", "tasks")
    assert project.python(CALL_ADD) == "4 tasks.add"
    more = "from myapp.more import more; print(more.delay().get(timeout=20), more.name)"
    assert project.python(more) == "more myapp.more.more"
    assert "tasks.add" in worker.log


@pytest.mark.shows("verb shared_task")
def test_shared_task_belongs_to_the_app(project: Project, main: Callable[[str], None]) -> None:
    main("import shared\n")
    project.write(
        "shared.py",
        "from @ROOT@ import shared_task\n@shared_task\ndef twice(x):\n    return 2 * x\n",
    )
    project.worker("-A", "tasks")
    code = (
        "import tasks; from shared import twice; print(twice.delay(21).get(timeout=20), twice.name)"
    )
    assert project.python(code) == "42 shared.twice"


@pytest.mark.shows("verb autodiscover_tasks")
def test_tasks_modules_are_discovered(project: Project) -> None:
    project.write(
        "main.py",
        '@IMPORT@\napp = @CLASS@("m", @WHERE@)\napp.autodiscover_tasks(["shop", "mail"])\n',
    )
    for package in ("shop", "mail"):
        project.write(f"{package}/__init__.py", "")
        project.write(
            f"{package}/tasks.py",
            f"from main import app\n@app.task\ndef go():\n    return {package!r}\n",
        )
    project.worker("-A", "main")
    code = "import shop.tasks, mail.tasks; print(shop.tasks.go.delay().get(timeout=20), "
    assert project.python(code + "mail.tasks.go.delay().get(timeout=20))") == "shop mail"


@pytest.mark.parametrize(
    "configure",
    [
        'app.config_from_object("settings")',
        "import settings; app.config_from_object(settings)",
        'app.config_from_object({"broker_url": "@URL@", "result_backend": "@URL@", '
        '"task_default_queue": "mine"})',
        'import os; os.environ["SETTINGS"] = "settings"; app.config_from_envvar("SETTINGS")',
        'app.config_from_object("old_settings")',
        'app.config_from_object("spaced_settings", namespace="CELERY")',
    ],
    ids=["module name", "module", "dict", "envvar", "old names", "namespace"],
)
def test_configuration_is_read(project: Project, configure: str) -> None:
    project.write("tasks.py", f'@IMPORT@\napp = @CLASS@("myapp")\n{configure}\n' + ADD)
    project.write(
        "settings.py",
        'broker_url = "@URL@"\nresult_backend = "@URL@"\ntask_default_queue = "mine"\n',
    )
    project.write(
        "old_settings.py",
        'BROKER_URL = "@URL@"\nCELERY_RESULT_BACKEND = "@URL@"\nCELERY_DEFAULT_QUEUE = "mine"\n',
    )
    project.write(
        "spaced_settings.py",
        'CELERY_BROKER_URL = "@URL@"\nCELERY_RESULT_BACKEND = "@URL@"\n'
        'CELERY_TASK_DEFAULT_QUEUE = "mine"\nDEBUG = True\n',
    )
    worker = project.worker("-A", "tasks")
    assert project.python(CALL_ADD) == "4 tasks.add"
    assert "mine" in worker.log


@pytest.mark.parametrize("name", ["tasks", "tasks:app", "tasks.app"])
def test_app_is_found(project: Project, main: Callable[[str], None], name: str) -> None:
    main(ADD)
    project.worker("-A", name)
    assert project.python(CALL_ADD) == "4 tasks.add"


def test_app_in_a_package_is_found(project: Project) -> None:
    project.write("shop/__init__.py", "")
    project.write("shop/celery.py", '@IMPORT@\napp = @CLASS@("shop", @WHERE@)\n' + ADD)
    project.worker("-A", "shop")
    code = "from shop.celery import add; print(add.delay(2, 2).get(timeout=20), add.name)"
    assert project.python(code) == "4 shop.celery.add"


@pytest.mark.shows("verb current_task", "task base")
def test_current_task_and_base_class(project: Project, main: Callable[[str], None]) -> None:
    main(
        "from @ROOT@ import Task, current_app, current_task\n"
        "class Base(Task):\n    def triple(self, x):\n        return 3 * x\n"
        '@app.task(bind=True, base=Base, name="custom.name")\n'
        "def go(self, x):\n"
        "    return [self.triple(x), current_task.name, current_app.main, self.request.id]\n"
    )
    project.worker("-A", "tasks")
    code = "from tasks import go; r = go.delay(7); print(r.get(timeout=20) == "
    assert (
        project.python(code + "[21, 'custom.name', 'myapp', r.id], go.name)") == "True custom.name"
    )


if PRODUCT == "fastworker":

    def test_class_is_also_exported_as_celery(project: Project) -> None:
        project.write(
            "tasks.py",
            'from fastworker import Celery\napp = Celery("myapp", @WHERE@)\n' + ADD,
        )
        project.worker("-A", "tasks")
        assert project.python(CALL_ADD) == "4 tasks.add"


@pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no embedded queue")
def test_without_a_broker_a_file_beside_the_module_is_used(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    with contextlib.ExitStack() as stack:
        project = Project(folder, "", stack)
        project.write(
            "tasks.py", "from fastworker import FastWorker\napp = FastWorker('myapp')\n" + ADD
        )
        worker = project.worker("-A", "tasks")
        assert project.python(CALL_ADD, folder=elsewhere) == "4 tasks.add"
        assert list((folder / ".fastworker").iterdir())
        assert ".fastworker" in worker.log
        assert not list(elsewhere.iterdir())
