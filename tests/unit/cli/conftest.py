"""A project directory to start the command line in, and its command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker.app import state
from fastworker.cli.main import main


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that the command line reads; those it sets go away again."""
    for name in list(os.environ):
        if name.startswith(("CELERY_", "FASTWORKER_")):
            monkeypatch.delenv(name)
    for name in ("APP", "BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("BROKER_URL", "RESULT_BACKEND", "CONFIG_MODULE", "SKIP_CHECKS"):
        monkeypatch.setenv(f"FASTWORKER_{name}", "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or name.startswith("fwt_"):
            del sys.modules[name]
    state.set_current_app(None)


@pytest.fixture
def fastworker(project: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs ``fastworker …`` in this process: status, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out = capfd.readouterr()
        return status, out.out, out.err

    return run
