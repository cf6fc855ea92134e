"""Fixtures of the unit tests: an application whose broker and result store are a dict."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastworker import FastWorker
from fastworker.app import state
from tests.support.memory_core import Memory, install


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """What was published and stored."""
    return install(monkeypatch)


@pytest.fixture
def app(memory: Memory) -> Iterator[FastWorker]:
    """An application that publishes into ``memory``; not the current one, forgotten afterwards."""
    with FastWorker(
        "proj", broker="redis://nowhere/0", backend="redis://nowhere/1", set_as_current=False
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications and finalisers of one test are not seen by the next."""
    for name in ("FASTWORKER", "CELERY"):
        monkeypatch.delenv(f"{name}_BROKER_URL", raising=False)
        monkeypatch.delenv(f"{name}_RESULT_BACKEND", raising=False)
    monkeypatch.setattr(state, "_finalizers", [])
    monkeypatch.setattr(state, "_default_app", None)
    monkeypatch.setattr(state, "_latest_app", None)
    state._thread.current_app = None
