"""``app.user_options``: options that an application adds to the command line."""

from __future__ import annotations

from typing import Any

from fastworker.errors import ImproperlyConfigured

_KNOWN = "preload"


class UserOptions(dict[str, set[Any]]):
    """``{"preload": {click.Option(…), …}}``: for every command; see the signal ``user_preload_options``.

    Celery's other keys (``worker``, ``beat``, …) hand options to bootsteps, which are parts of its worker.
    """

    def __missing__(self, command: str) -> set[Any]:
        """
        Raises:
            ImproperlyConfigured: ``command`` is another key.
        """
        if command != _KNOWN:
            raise ImproperlyConfigured(
                f"app.user_options[{command!r}]: options of one command go to bootsteps of Celery's worker, which "
                f"fastworker does not have; use app.user_options['preload'] and the signal user_preload_options"
            )
        found = self[command] = set()
        return found
