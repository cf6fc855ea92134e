"""Where the systems are installed: a virtual environment each, from the lock files of ``locks/``, or one that is given.

One environment cannot hold all of them as their authors release them: they do not agree on the version of redis-py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import interpreters
from fastworker.bench.rivals.rival import Rival

LOCKS = Path(__file__).parent / "locks"
ADAPTERS = Path(__file__).parent / "adapters"
_INSTALL_S = 300.0
_VERSIONS = (
    "import importlib.metadata as m, json, platform; "
    "print(json.dumps({'python': platform.python_version(), **{d.metadata['Name'].lower(): d.version "
    "for d in m.distributions()}}))"
)


class Environments(Protocol):
    """Where systems are installed."""

    def programs(self, rival: Rival) -> Path:
        """The folder of the programs of a system's environment.

        Raises:
            BenchError: It cannot be run here; the text is the reason.
        """

    def variables(self, rival: Rival) -> dict[str, str]:
        """The environment of its processes."""


@dataclass
class OwnEnvironments:
    """Environments that are made when they are needed, and kept.

    Attributes:
        cache: The folder that they are kept in.
        say: Told what is installed.
        pythons: Paths of interpreters to try besides those that are found.
    """

    cache: Path
    say: Callable[[str], None]
    pythons: Sequence[str] = ()
    _made: dict[str, Path] = field(default_factory=dict)

    def programs(self, rival: Rival) -> Path:
        """As ``Environments`` says; installs what is not there yet."""
        if rival.is_ours:
            return Path(sys.executable).parent
        if rival.project not in self._made:
            self._made[rival.project] = self._make(rival) / "bin"
        return self._made[rival.project]

    def variables(self, rival: Rival) -> dict[str, str]:
        """Ours with the adapters importable."""
        return variables([ADAPTERS])

    def _make(self, rival: Rival) -> Path:
        lock = LOCKS / f"{rival.project}.txt"
        interpreter = interpreters.find(rival.oldest_python, self.pythons)
        if interpreter is None:
            wanted = ".".join(map(str, rival.oldest_python))
            raise BenchError(
                f"needs Python {wanted} or newer, and there is none here; name one with --python"
            )
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:10]
        folder = self.cache / f"{rival.project}-{digest}-{interpreter.name}"
        done = folder / "installed"
        if done.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.say(
            f"installing {rival.project} for Python {interpreter.name} in {folder}: {_listed(lock)}"
        )
        _run(rival, [interpreter.program, "-m", "venv", str(folder)])
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run(rival, [f"{folder}/bin/python", *install, "--require-hashes", "-r", str(lock)])
        done.touch()
        return folder


@dataclass
class GivenEnvironment:
    """One environment that has all systems, fastworker too.

    Attributes:
        folder: Of the virtual environment.
        path: More folders to import from.
    """

    folder: Path
    path: Sequence[Path] = ()

    def programs(self, rival: Rival) -> Path:
        """As ``Environments`` says."""
        programs = self.folder / "bin"
        if not (programs / "python").exists():
            raise BenchError(f"{self.folder} is no virtual environment: it has no bin/python")
        if rival.distribution not in versions(programs) and not (rival.is_ours and self.path):
            raise BenchError(
                f"{rival.distribution} is not installed in the environment that was given"
            )
        return programs

    def variables(self, rival: Rival) -> dict[str, str]:
        """Ours with the adapters and ``path`` importable."""
        return variables([ADAPTERS, *self.path])


def variables(path: Sequence[Path]) -> dict[str, str]:
    """Ours, so that these folders can be imported from, and output is not held back."""
    given = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    folders = os.pathsep.join([*map(str, path), *given])
    return {**os.environ, "PYTHONPATH": folders, "PYTHONUNBUFFERED": "1"}


def default_cache() -> Path:
    """Where environments are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "fastworker" / "rivals"


def versions(programs: Path) -> Mapping[str, str]:
    """What is installed there, by lower-case name, and ``python``."""
    import json

    done = subprocess.run(
        [programs / "python", "-c", _VERSIONS], capture_output=True, text=True, check=True
    )
    found: Mapping[str, str] = json.loads(done.stdout)
    return found


def _listed(lock: Path) -> str:
    """Names and versions of a lock file."""
    lines = (line.partition(" ")[0] for line in lock.read_text().splitlines())
    return ", ".join(line for line in lines if "==" in line)


def _run(rival: Rival, command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"could not be installed within {_INSTALL_S:g} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise BenchError(f"could not be installed: {' '.join(said[-3:])}")
