"""An environment with the oldest Celery that we promise to run applications of, made once from its lock file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.servers import NoServer
from tests.support.workers import ROOT

LOCK = ROOT / "requirements" / "celery-oldest.txt"
_INSTALL_S = 300


def programs() -> Path:
    """The folder of its programs; our packages are not among them, and are imported from the checkout.

    Raises:
        NoServer: It cannot be installed; the text is the reason.
    """
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:10]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = ROOT / "target" / f"celery-oldest-{version}-{digest}"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        _run([str(folder / "bin" / "python"), *install, "-r", str(LOCK)])
        done.touch()
    return folder / "bin"


def environment(directory: Path) -> dict[str, str]:
    """Of processes that import an application from there, and fastworker."""
    path = os.pathsep.join((str(directory), str(ROOT / "python")))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:]
        raise NoServer(f"the oldest Celery cannot be installed: {' '.join(said)}")
