"""Which Celery, and what beside it, an application of Celery's has installed is its own affair."""

from __future__ import annotations

import subprocess
import sys

import pytest
from celery import Celery
from celery import signals as celery_signals

from fastworker.hosting import HostedApp
from fastworker.hosting.signals import Forwarding

WITHOUT_REDIS_PY = """
import sys
sys.modules["redis"] = None  # cannot be imported

from celery import Celery
import fastworker
from fastworker.hosting import HostedApp

app = Celery("proj", broker="amqp://", backend="file:///tmp")
hosted = HostedApp(app)
said = fastworker.accelerate(app).as_before()
assert "FilesystemBackend is not Celery's Redis backend" in said[-1], said
"""


def test_an_application_without_redis_needs_no_redis_py() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_REDIS_PY], check=True, timeout=60)


def test_signals_that_an_older_celery_has_not_are_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosted = HostedApp(Celery("proj", broker="memory://"))
    monkeypatch.delattr(celery_signals, "worker_before_create_process")
    Forwarding(hosted).close()
    hosted.close()
