"""What a worker says of a Celery application at its start is true of Celery's part in it, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from fastworker.hosting.app import HostedApp
from fastworker.worker.bugreport import report_facts


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[HostedApp]:
    """Results are in files, which Celery's backend writes."""
    celery = Celery("proj", broker="redis://h", backend=f"file://{tmp_path}", set_as_current=False)
    celery.conf.update(database_table_names={"task": "t"}, task_acks_late=True)
    app = HostedApp(celery)
    yield app
    app.close()


def test_results_of_a_backend_of_celerys_are_said_to_be_stored(
    hosted: HostedApp, tmp_path: Path
) -> None:
    assert hosted.result_url is None
    assert hosted.results_kept_at == f"file://{tmp_path}"
    assert report_facts(hosted, with_defaults=False)["results"] == f"file://{tmp_path}"


def test_settings_of_a_backend_of_celerys_are_not_said_to_be_in_vain(hosted: HostedApp) -> None:
    assert hosted.unapplied() == []


def test_settings_of_a_backend_that_nobody_has_are(tmp_path: Path) -> None:
    celery = Celery("proj", broker="redis://h", backend="redis://h", set_as_current=False)
    celery.conf.database_table_names = {"task": "t"}
    app = HostedApp(celery)
    try:
        (line,) = app.unapplied()
    finally:
        app.close()
    assert "database_table_names" in line
