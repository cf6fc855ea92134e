"""The `waiting` tasks on every system that runs many of them at once, each as its own documents
advise.

``<name>_app`` has the tasks ``nap`` and ``page``, what that project's command line starts, and
``publish(task, argument, count)``. They run in ``.venv-rivals`` (``make rivals``), whose versions
``requirements/rivals.txt`` locks. What was set, and why, is in each module's docstring; what its
command line adds is in ``benches/harness/rivals.py``.
"""

from __future__ import annotations

CONNECTIONS = 1_000
"""Most connections of one process to the web server, for every system: enough for 10,000 answers
a second."""

CHUNK = 500
"""Calls of one bulk publish."""

AT_ONCE = 100
"""Calls that a publisher without a bulk call makes at once."""

KEPT_S = 300.0
"""How long an unused connection to the web server is kept, so that all rounds find theirs."""
