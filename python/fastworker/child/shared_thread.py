"""Event loops of greenlets: any number of them in one thread.

asyncio notes for each thread which loop runs there, and refuses to run a second one: ``asyncio.run`` in one greenlet
would fail because another one is in a loop that waits. The note is right while a loop runs callbacks. While it waits,
other greenlets run, and it is put away.
"""

from __future__ import annotations

import selectors
import sys
from typing import Any


def let_loops_share_a_thread() -> None:
    """Have every loop put its note away while it waits; those that are made from now on.

    A coroutine that blocks in a patched call (``time.sleep``) lets other greenlets run in the midst of a callback, with
    its note in place: it must not block, as under any event loop.
    """
    base: Any = selectors.DefaultSelector

    class Selector(base):  # type: ignore[misc]
        """What a loop waits with."""

        def select(self, timeout: float | None = None) -> Any:
            """As the selector's."""
            events: Any = sys.modules.get("asyncio.events")
            running = events and events._get_running_loop()
            if running is None:
                return super().select(timeout)
            events._set_running_loop(None)
            try:
                return super().select(timeout)
            finally:
                events._set_running_loop(running)

    selectors.DefaultSelector = Selector  # type: ignore[misc]
