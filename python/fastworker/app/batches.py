"""Calls of a batch task: what its function is given, and what becomes of what it returns.

A function that takes batches gets one argument, a list of `SimpleRequest`; the name and the attributes are those of the
celery-batches package. How each call ends is decided, in this order, by the call's own ``succeed``, ``fail`` or
``retry``; by what the function raises, for all others; by what it returns, for all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from fastworker.app.context import Context
from fastworker.app.task import Task
from fastworker.errors import Retry

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


class Ends(Protocol):
    """Whoever runs a batch: told how one of its calls ends."""

    def succeed(self, value: Any) -> None:
        """It succeeded."""

    def fail(self, exc: BaseException) -> None:
        """It failed, as if its function had raised ``exc``."""

    def retry(self, options: dict[str, Any]) -> None:
        """It is to be tried again; ``options`` as for ``Task.retry``."""


class SimpleRequest:
    """One call of a batch. Every attribute of ``self.request`` is here too, such as ``retries``, ``headers``, ``eta``,
    ``root_id`` or ``properties``.

    Attributes:
        id: The call's id, which its result is stored under.
        name: The task's name.
        args: Positional arguments, as the caller gave them.
        kwargs: Keyword arguments.
    """

    __slots__ = ("_ends", "_request", "args", "id", "kwargs", "name")

    def __init__(
        self,
        id: str,
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        request: Any,
        ends: Ends | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self._request = request
        self._ends = ends

    def succeed(self, value: Any = None) -> None:
        """End this call now, with a result: it is stored, callbacks and the rest of a chain follow, and the message is
        acknowledged, whatever happens to the others.

        Args:
            value: The result.

        Raises:
            RuntimeError: The call has ended before.
        """
        self._open().succeed(value)

    def fail(self, exc: BaseException) -> None:
        """End this call now, as if it had been alone and had raised ``exc``: a failure, or what ``Ignore`` and
        ``Reject`` say. ``autoretry_for`` is not asked; ``retry`` is for that.

        Raises:
            RuntimeError: The call has ended before.
        """
        if not isinstance(exc, BaseException):
            raise TypeError(
                f"fail({exc!r}): expected an exception, such as fail(ValueError('no such user'))"
            )
        self._open().fail(exc)

    def retry(
        self,
        *,
        exc: BaseException | None = None,
        countdown: float | None = None,
        eta: Any = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> None:
        """End this call now and publish it again, to run later. Raises nothing when no retries are left: the call fails
        then with ``exc``, or with `MaxRetriesExceededError`.

        Args:
            exc: Why.
            countdown: When, in seconds from now. None: the task's ``default_retry_delay``.
            eta: When, as a datetime.
            max_retries: For this call, in place of the task's.
            options: As for ``Task.retry``.

        Raises:
            RuntimeError: The call has ended before.
        """
        given = {"exc": exc, "countdown": countdown, "eta": eta, "max_retries": max_retries}
        self._open().retry({**given, **options})

    @property
    def has_ended(self) -> bool:
        """``succeed``, ``fail`` or ``retry`` was called, or the function has returned."""
        return self._ends is None

    @property
    def request_dict(self) -> dict[str, Any]:
        """Every attribute that the message gives its request."""
        full = getattr(self._request, "full", None)
        context = self._request if full is None else full()
        return {key: value for key, value in vars(context).items() if not key.startswith("_")}

    def close(self) -> None:
        """It has ended; called by whoever runs the batch."""
        self._ends = None

    def _open(self) -> Ends:
        if self._ends is None:
            raise RuntimeError(
                f"call {self.id} of the batch task {self.name} has ended already: one of succeed(), fail() and retry() "
                f"may be called, once, before the function returns"
            )
        return self._ends

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._request, name)

    def __reduce__(self) -> Any:
        # A copy in another process knows the call, and cannot end it.
        context = Context(self.request_dict)
        return SimpleRequest, (self.id, self.name, self.args, self.kwargs, context)

    def __repr__(self) -> str:
        return f"<SimpleRequest: {self.name}[{self.id}] args={self.args!r} kwargs={self.kwargs!r}>"


class RetryOfBatch(Retry):
    """``raise self.retry(…)`` in a function that has a batch: each call that has not ended is tried again.

    Attributes:
        options: As for ``SimpleRequest.retry``.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(
            exc=options.get("exc"), when=options.get("eta") or options.get("countdown")
        )
        self.options = options


class BatchContext(Context):
    """``self.request`` of a function that has a batch. It is nobody's call: its ``id`` is None, and what the function
    publishes has no parent."""

    called_directly = False
    is_batch = True

    def __init__(self, task: str) -> None:
        super().__init__(delivery_info={})
        self.task = task
        #: The requests of the calls, by id.
        self.members: dict[str, Any] = {}
        #: Ids of calls whose final state the function has stored by itself.
        self.stored: set[str] = set()
        #: What the function raised.
        self.raised: BaseException | None = None

    def retry(self, options: dict[str, Any]) -> NoReturn:
        """``Task.retry`` for all calls that have not ended.

        Raises:
            RetryOfBatch: Always.
            TypeError: The options cannot hold for several calls.
        """
        one_call = {"args", "kwargs", "throw"} & options.keys()
        if one_call:
            raise TypeError(
                f"self.retry({', '.join(sorted(one_call))}=…) in a batch, where self is no single call: use "
                f"request.retry() for each of them"
            )
        raise RetryOfBatch(options)

    def __repr__(self) -> str:
        return f"<BatchContext: {self.task} with {len(self.members)} calls>"


def results_of(task: Any, value: Any, count: int) -> Sequence[Any]:
    """The result of each of ``count`` calls, in order, when the function returned ``value``.

    Raises:
        TypeError: That says nothing of each call.
    """
    if value is None:
        return [None] * count
    if isinstance(value, list | tuple) and len(value) == count:
        return value
    what = (
        f"{len(value)} results" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
    )
    raise TypeError(
        f"batch task {task.name} returned {what} for {count} calls: expected None, or a list with a result for each "
        f"call in order; or use request.succeed(result) for each of them"
    )


class _Alone:
    """How the only call of a batch ends that runs here: as `Ends` is told."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.request: SimpleRequest | None = None
        self.value: Any = None
        self.exc: BaseException | None = None

    def succeed(self, value: Any) -> None:
        """It succeeded."""
        self._close()
        self.value = value

    def fail(self, exc: BaseException) -> None:
        """It failed."""
        self._close()
        self.exc = exc

    def retry(self, options: dict[str, Any]) -> None:
        """It is to be tried again."""
        self._close()
        try:
            self._task.retry(**options)
        except Exception as exc:
            self.exc = exc

    def _close(self) -> None:
        assert self.request is not None, "only its request ends a call"
        self.request.close()


def run_alone(task: Any, context: Context, call: Callable[..., Any]) -> Any:
    """Run a call eagerly, as a batch of one; its result.

    Args:
        task: Its task.
        context: The call, which is the task's current request.
        call: Calls the task's function.

    Raises:
        BaseException: What ends the call in place of a result.
    """
    end = _Alone(task)
    one = end.request = SimpleRequest(
        context.id or "", task.name, context.args, context.kwargs, context, end
    )
    try:
        returned = call([one])
    except Exception as exc:
        if not one.has_ended:
            if (autoretry := getattr(task, "autoretry", None)) is not None:
                autoretry(exc)
            raise
        text = "Task %s raised with a batch of 1 calls, of which 0 had not ended: %r"
        logger.error(text, task.name, exc, exc_info=exc)
        returned = None
    if end.exc is not None:
        raise end.exc
    if one.has_ended:
        return end.value
    one.close()
    return results_of(task, returned, 1)[0]


class Batches(Task[..., Any]):
    """Base of tasks that were written for the celery-batches package: ``flush_every`` and ``flush_interval`` are
    ``batch`` and ``batch_timeout``."""

    abstract = True
    #: Most calls of one batch.
    flush_every: int = 10
    #: Seconds that a call waits for others.
    flush_interval: float = 30

    @classmethod
    def bind(cls, app: FastWorker) -> FastWorker:
        """As ``Task.bind``."""
        if cls.batch is None:
            cls.batch = cls.flush_every
        if cls.batch_timeout is None:
            cls.batch_timeout = cls.flush_interval
        return super().bind(app)
