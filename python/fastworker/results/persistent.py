"""``result_backend_always_retry``: a store that is away is asked again. Source: celery/backends/base.py,
``_ensure_retryable``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from fastworker import _core
from fastworker.errors import OperationalError

logger = logging.getLogger("fastworker.results")

#: What is not an operation of the store.
_NOT_RETRIED = ("close",)


@dataclass(frozen=True)
class StoreRetries:
    """How often, and with which pauses.

    Attributes:
        most: Attempts after the first; ``inf`` for as long as it takes.
        base_ms: The longest that the first pause may be, milliseconds; each may be twice as long as the one before.
        longest_ms: The longest that any may be.
    """

    most: float
    base_ms: float
    longest_ms: float

    @classmethod
    def of(cls, conf: Any) -> StoreRetries | None:
        """What the settings say; None: an error is the caller's at once."""
        if not conf.result_backend_always_retry:
            return None
        return cls(
            conf.result_backend_max_retries,
            conf.result_backend_base_sleep_between_retries_ms,
            conf.result_backend_max_sleep_between_retries_ms,
        )

    def pause_s(self, retries: int) -> float:
        """A random part of the pause before attempt ``retries``, so that clients do not come all at once."""
        longest = min(self.longest_ms, self.base_ms * 2.0 ** min(retries, 60))
        return random.uniform(0, longest) / 1000


class PersistentStore:
    """A result store, each of whose operations is tried again when the store cannot be reached.

    Args:
        store: The store.
        retries: How often.
    """

    def __init__(self, store: _core.ResultStore, retries: StoreRetries) -> None:
        self._store = store
        self._retries = retries

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        return operation if name in _NOT_RETRIED else self._persistent(name, operation)

    def _persistent(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*args: Any, **kwargs: Any) -> Any:
            retries = 0
            while True:
                try:
                    return operation(*args, **kwargs)
                except OperationalError as exc:
                    if retries >= self._retries.most:
                        raise
                    retries += 1
                    logger.warning("Failed operation %s. Retrying %d. time: %s", name, retries, exc)
                    time.sleep(self._retries.pause_s(retries))

        return attempt


def persistent(store: _core.ResultStore, retries: StoreRetries | None) -> _core.ResultStore:
    """``store`` itself where nothing is to be tried again."""
    return store if retries is None else cast(_core.ResultStore, PersistentStore(store, retries))
