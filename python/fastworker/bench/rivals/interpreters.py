"""Which Pythons there are on this machine: a system that does not run on ours may run on another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_NEWEST = 15
_LOOK = (
    "import sys, sysconfig, venv, ensurepip; "
    "print(*sys.version_info[:3], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
)
_LOOK_S = 10.0


@dataclass(frozen=True)
class Interpreter:
    """A Python that can make virtual environments.

    Attributes:
        program: Its path.
        version: Of three parts.
        has_gil: It is not a free-threaded build.
    """

    program: str
    version: tuple[int, int, int]
    has_gil: bool

    @property
    def name(self) -> str:
        """As a table shows it."""
        return ".".join(map(str, self.version)) + ("" if self.has_gil else "t")


def look(program: str) -> Interpreter | None:
    """One at this path; None: it does not run, or cannot make environments."""
    try:
        done = subprocess.run(
            [program, "-c", _LOOK], capture_output=True, text=True, timeout=_LOOK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    major, minor, micro, disabled = map(int, done.stdout.split())
    return Interpreter(program, (major, minor, micro), not disabled)


def find(oldest: tuple[int, int], named: Sequence[str] = ()) -> Interpreter | None:
    """The first that is new enough: the one that runs this, those that are named, and what is on PATH or where pyenv
    and uv put theirs, oldest first, so that systems differ in their Python as little as can be.
    """
    for program in candidates(oldest, named):
        found = look(program)
        if found is not None and found.version[:2] >= oldest:
            return found
    return None


def candidates(oldest: tuple[int, int], named: Sequence[str]) -> Iterator[str]:
    """Paths where one may be."""
    if sys.version_info[:2] >= oldest:
        yield sys.executable
    yield from named
    for minor in range(oldest[1], _NEWEST + 1):
        name = f"python{oldest[0]}.{minor}"
        if (found := shutil.which(name)) is not None:
            yield found
        for folder in _folders():
            yield from map(str, sorted(folder.glob(f"*{oldest[0]}.{minor}*/bin/{name}")))


def _folders() -> Iterator[Path]:
    home = Path.home()
    yield Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    yield Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "uv" / "python"
