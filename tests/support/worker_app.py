"""What workers of tests load with ``-A tests.support.worker_app``."""

from __future__ import annotations

from tests.support.apps import from_environment

app = from_environment()
