"""What Celery's test cases find on themselves: an application, and a task in it. The tests that are left out are in
``left_out.py``, each with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.app import state
from fastworker.canvas import Chain
from tests.celerys.celery_names import _prepare_steps
from tests.celerys.left_out import LEFT_OUT

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is listed; a name in the list that is no test is an error, so that the list stays true."""
    here = [item for item in items if _HERE in item.path.parents]
    left_out, seen = [], set()
    for item in here:
        # Celery's tests are not written for warnings that are errors.
        item.add_marker(pytest.mark.filterwarnings("default"))
        name = item.nodeid.split("celerys/")[-1]
        for key in (name, name.partition("[")[0]):
            if key in LEFT_OUT:
                left_out.append(item)
                seen.add(key)
                break
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    collected = {item.path.name for item in here}
    unknown = {key for key in LEFT_OUT if key.partition("::")[0] in collected} - seen
    if unknown and not config.option.keyword and not any("::" in arg for arg in config.args):
        raise pytest.UsageError(f"left_out.py names tests that there are not: {sorted(unknown)}")


@pytest.fixture(autouse=True)
def _celerys_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a function here and a method there."""
    monkeypatch.setattr(Chain, "prepare_steps", _prepare_steps, raising=False)


class Parts:
    """In the place of pytest's ``subtests``: a part that fails ends its test."""

    def test(self, *_message: str, **_facts: Any) -> AbstractContextManager[None]:
        """One part."""
        return nullcontext()


@pytest.fixture
def subtests() -> Parts:
    """Parts of a test. Celery's tests share signatures, which keep tasks of earlier tests, and so their ``subtests``:
    pytest's would report for a test that is over, which a run in several processes refuses.
    """
    return Parts()


@pytest.fixture
def depends_on_current_app(app: FastWorker) -> None:
    """The application is the current one."""
    app.set_current()


@pytest.fixture
def app() -> Iterator[FastWorker]:
    """An application on stores in memory."""
    with FastWorker("celery.tests", broker="memory://", backend="cache+memory://") as made:
        made.conf.task_default_queue = "testcelery"
        made.conf.accept_content = ["json", "pickle"]
        yield made
        state._thread.current_app = None


@pytest.fixture(autouse=True)
def _shortcuts(request: pytest.FixtureRequest, app: FastWorker) -> Iterator[None]:
    case: Any = request.instance
    if case is None:
        yield
        return

    def add(x: Any, y: Any) -> Any:
        return x + y

    case.app = app
    case.Celery = FastWorker
    case.add = app.task(add, shared=False)
    yield
    case.app = None
