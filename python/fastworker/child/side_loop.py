"""An event loop beside what runs in the main thread: in a thread of its own, or a greenlet like those of the tasks.

Beside greenlets it is no thread: what it would share with them is guarded by locks, and eventlet's do not work between
threads.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger("fastworker.worker")


class SideLoop:
    """A loop that runs from now on.

    Args:
        spawn: Begins to run a function: in a greenlet; unless given, in a thread.
    """

    def __init__(self, spawn: Callable[[Callable[[], None]], Any] | None = None) -> None:
        # Not uvloop's, which would let no greenlet run while it waits.
        self.loop = asyncio.new_event_loop()
        self._has_ended = threading.Event()
        if spawn is None:
            threading.Thread(target=self._serve, name="event loop", daemon=True).start()
        else:
            spawn(self._serve)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop, and wait for its end; called outside of the loop.

        Raises:
            BaseException: What the coroutine raises.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Cancel what is left, and end the loop."""
        self.run(self._end_the_rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._has_ended.wait()

    def _serve(self) -> None:
        try:
            while True:
                try:
                    self.loop.run_forever()
                    break
                except (SystemExit, KeyboardInterrupt) as exc:
                    # asyncio lets these out of the loop whoever raised them, and the other tasks have no part in it.
                    logger.critical(
                        "code that a task started on the event loop raised %r; it goes on", exc
                    )
            self.loop.close()
        finally:
            self._has_ended.set()

    async def _end_the_rest(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
