"""``EagerResult``: the result of a task that ran in this process, at once."""

from __future__ import annotations

from typing import Any

from fastworker import states
from fastworker.errors import TaskRevokedError
from fastworker.results.async_result import AsyncResult, R
from fastworker.results.joining import assert_will_not_block


class EagerResult(AsyncResult[R]):
    """A result that is there already.

    Args:
        id: The id the task ran under.
        ret_value: What it returned, or its exception.
        state: SUCCESS, FAILURE, RETRY…
        traceback: As text, if it raised.
        name: The task's name.
    """

    __slots__ = ("_name", "_result", "_state", "_traceback")

    def __init__(
        self,
        id: str,
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(id)
        self._result = ret_value
        self._state = state
        self._traceback = traceback
        self._name = name

    def get(  # type: ignore[override]
        self,
        timeout: float | None = None,
        propagate: bool = True,
        disable_sync_subtasks: bool = True,
        **kwargs: Any,
    ) -> R:
        """What the task returned; its exception is raised, or returned with ``propagate=False``.
        Never waits.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        if self._state in states.PROPAGATE_STATES and propagate:
            raise self._result if isinstance(self._result, Exception) else Exception(self._result)
        is_final = self._state == states.SUCCESS or self._state in states.PROPAGATE_STATES
        return self._result if is_final else None  # type: ignore[return-value]

    wait = get  # type: ignore[assignment]

    async def aget(self, *args: Any, **kwargs: Any) -> R:
        """As ``get``."""
        return self.get(*args, **kwargs)

    def ready(self) -> bool:
        """Always."""
        return True

    def known(self, *queues: str) -> bool:
        """Always."""
        return True

    def forget(self) -> None:
        """Nothing is stored."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Replace the result by what a revoked task would have stored."""
        self._state = states.REVOKED
        self._result = TaskRevokedError("revoked")
        self._traceback = None

    def _is_settled(self) -> bool:
        return True

    def _seen_state(self) -> str:
        return self._state

    def _value(self, propagate: bool) -> Any:
        return self.get(propagate=propagate, disable_sync_subtasks=False)

    def then(self, callback: Any, on_error: Any = None, weak: bool = False) -> Any:
        """Call ``callback`` with this result, now."""
        callback(self)
        return callback

    def _get_task_meta(self) -> dict[str, Any]:
        return {
            "task_id": self.id,
            "result": self._result,
            "status": self._state,
            "traceback": self._traceback,
            "name": self._name,
        }

    @property
    def supports_native_join(self) -> bool:
        """There is nothing to ask for."""
        return False

    def __copy__(self) -> EagerResult[R]:
        return EagerResult(self.id, self._result, self._state, self._traceback, self._name)

    def __reduce__(self) -> tuple[Any, ...]:
        return EagerResult, (self.id, self._result, self._state, self._traceback, self._name)
