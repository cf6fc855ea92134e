"""Running an application of Celery itself, as it is: ``fastworker -A proj worker`` where ``proj.app`` is a
``celery.Celery``.

Its tasks run in our children through Celery's own tracer, so that whatever hooks into that (signals, error trackers,
base classes, custom ``__call__``) sees what it knows. Around them everything is ours: fetching, acknowledgements, time
limits, results, publishing.

Celery is imported here and nowhere else in the package.
"""

from __future__ import annotations

from fastworker.hosting.app import HostedApp

__all__ = ["HostedApp"]
