"""Examples of other projects that use Celery, as their source distributions have them, each with an environment of its
own from a lock file under ``benches/projects``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches.harness.machine import REPOSITORY
from fastworker.bench.rivals.environments import versions

LOCKS = REPOSITORY / "benches/projects"
CACHE = REPOSITORY / "target/projects"
DJANGO_SETTINGS = """\
import os

from proj.settings import *

CELERY_BROKER_URL = os.environ["BENCH_BROKER"]
"""
"""The project's own, with the address of the server."""


@dataclass(frozen=True)
class Project:
    """One of them.

    Attributes:
        name: Its lock's.
        source: The distribution that has it, with its version.
        folder: In there.
        imports: Folders in there that are imported from.
        app: As ``-A`` says it.
        broker: ``redis`` or ``amqp``.
        calls: How many keep Celery's worker busy for some seconds.
        publish: Program that publishes the number of calls that it is told as its argument.
        prepare: Command that is run once, with the interpreter before it.
        files: More modules, by their names.
        variables: Environment; ``{broker}`` stands for the broker's URL.
        what: For the report.
    """

    name: str
    source: str
    folder: str
    imports: Sequence[str]
    app: str
    broker: str
    calls: int
    publish: str
    what: str
    prepare: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where it is unpacked."""
        return CACHE / self.source / self.folder

    @property
    def programs(self) -> Path:
        """Of its environment."""
        return CACHE / f"{self.name}-env/bin"

    def environment(self, broker: str) -> dict[str, str]:
        """Of all its processes; fastworker can be imported in it from here."""
        folders = [self.path / name for name in self.imports]
        folders += [self.programs.parent / "modules", REPOSITORY / "python"]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            "PYTHONUNBUFFERED": "1",
            **{name: value.format(broker=broker) for name, value in self.variables.items()},
        }

    def install(self) -> None:
        """Unpack it and make its environment, unless both are there."""
        if not self.path.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            wanted = ["--no-deps", "--no-binary", ":all:"]
            hashes = ["--require-hashes", "-r", str(LOCKS / "sources.txt")]
            run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    *wanted,
                    *hashes,
                    "-d",
                    str(CACHE),
                ]
            )
            with tarfile.open(CACHE / f"{self.source}.tar.gz") as archive:
                archive.extractall(CACHE, filter="data")
        done = self.programs.parent / "installed"
        if done.exists():
            return
        make_environment(self.name, self.programs.parent)
        modules = self.programs.parent / "modules"
        modules.mkdir()
        for name, content in self.files.items():
            (modules / name).write_text(content)
        if self.prepare:
            # Nothing is published by it.
            environment = self.environment("memory://")
            run([str(self.programs / "python"), *self.prepare], self.path, environment)
        done.touch()

    def versions(self) -> str:
        """Of what matters in its environment."""
        found = versions(self.programs)
        names = ("celery", "flask", "django", "sqlalchemy", "redis")
        return ", ".join(f"{name} {found[name]}" for name in names if name in found)


FLASK = Project(
    name="flask",
    source="flask-3.1.3",
    folder="examples/celery",
    imports=("src", "."),
    app="make_celery",
    broker="redis",
    calls=2_000,
    variables={"FLASK_CELERY__broker_url": "{broker}", "FLASK_CELERY__result_backend": "{broker}"},
    publish="import sys, make_celery\nfrom task_app.tasks import add\n"
    "for number in range(int(sys.argv[1])):\n    add.delay(number, 1)\n",
    what="Flask's example: `add`, within the application's context; Redis, results too",
)
DJANGO = Project(
    name="django",
    source="celery-5.7.0",
    folder="examples/django",
    imports=(".",),
    app="proj",
    broker="amqp",
    calls=300,
    files={"bench_settings.py": DJANGO_SETTINGS},
    variables={"DJANGO_SETTINGS_MODULE": "bench_settings", "BENCH_BROKER": "{broker}"},
    prepare=("manage.py", "migrate", "--verbosity", "0"),
    publish="import sys, django, proj\ndjango.setup()\nfrom demoapp.tasks import count_widgets\n"
    "for number in range(int(sys.argv[1])):\n    count_widgets.delay()\n",
    what="Celery's example of Django: `count_widgets`, a query; RabbitMQ, results by SQLAlchemy in SQLite",
)
PROJECTS = (FLASK, DJANGO)


def make_environment(lock: str, folder: Path) -> None:
    """A new virtual environment with what the lock file of that name says."""
    run([sys.executable, "-m", "venv", "--clear", str(folder)])
    what = ["--no-deps", "--require-hashes", "-r", str(LOCKS / f"{lock}.txt")]
    run([f"{folder}/bin/python", "-m", "pip", "install", "--quiet", *what])


def run(
    command: Sequence[str], folder: Path = REPOSITORY, environment: Mapping[str, str] | None = None
) -> str:
    """What a command says; that it fails ends the scenario."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"benches: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
