"""``Task``: what ``@app.task`` makes of a function, and the base of class-based tasks.

Its attributes are its options; those that are None take the value of a setting when the task is
bound to its application. The verbs live elsewhere: ``lane.py`` and ``publish.py`` publish,
``eager.py`` runs here, ``retry.py`` publishes again.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from fastworker.app.context import Context
from fastworker.app.state import get_current_app, task_stack
from fastworker.app.task_canvas import TaskCanvas
from fastworker.app.task_options import TaskOptions
from fastworker.errors import MaxRetriesExceededError, OperationalError

if TYPE_CHECKING:
    from fastworker.app.lane import Lane
    from fastworker.results.async_result import AsyncResult
    from fastworker.results.bulk_result import BulkResult
    from fastworker.results.eager_result import EagerResult

P = ParamSpec("P")
R = TypeVar("R")


class Task(TaskCanvas, TaskOptions, Generic[P, R]):
    """A task. Call it to run it here; ``delay`` and ``apply_async`` publish it."""

    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError

    def __setattr__(self, name: str, value: Any) -> None:
        # Any attribute may be an option that the prepared lane has in it.
        self.__dict__.pop("_lane", None)
        object.__setattr__(self, name, value)

    # -------------------------------------------------------------------------------------- calling

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task here and now, as a function."""
        task_stack.push(self)
        self.push_request(args=args, kwargs=kwargs)
        try:
            return cast("R", self.run(*args, **kwargs))
        finally:
            self.pop_request()
            task_stack.pop()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The body of the task; the decorated function, or to be overridden."""
        raise NotImplementedError("Tasks must define the run method.")

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Publish a call; ``apply_async`` takes options too."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Publish a call.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: Id to use; None draws one.
            producer: Taken and not used: publishing has a connection of its own, to the broker of
                the settings.
            link: Signature, or several, to run with the result.
            link_error: Signature, or several, to run on failure.
            shadow: Name to show in logs.
            options: ``countdown`` (seconds) or ``eta`` (datetime), ``expires`` (either), ``queue``,
                ``exchange``, ``routing_key``, ``priority`` (0 to 9, 0 first), ``serializer``,
                ``compression``, ``headers``, ``time_limit``, ``soft_time_limit``,
                ``ignore_result``, ``retry``, ``retry_policy``, ``add_to_parent``.

        Raises:
            TypeError: The arguments do not fit the function, or there is no such option.
            EncodeError: An argument cannot be serialised.
            OperationalError: The broker did not confirm.
        """
        if options or task_id or link or link_error or shadow or producer:
            return self.publish(
                args, kwargs, task_id, producer, link, link_error, shadow, **options
            )
        lane = self.lane()
        if lane is None:
            return self.publish(args, kwargs)
        args = () if args is None else args
        kwargs = {} if kwargs is None else kwargs
        if not isinstance(args, list | tuple):
            return self.publish(args, kwargs)  # which refuses it
        if self.typing:
            self.check_arguments(args, kwargs)
        return lane.send(args, kwargs)

    def publish(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """``apply_async`` by the long road, whatever the options."""
        from fastworker.app.calling import publish

        return publish(
            self,
            args,
            kwargs,
            {
                "task_id": task_id,
                "producer": producer,
                "link": link,
                "link_error": link_error,
                "shadow": shadow,
                **options,
            },
        )

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """``delay`` for a coroutine."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """``apply_async`` for a coroutine: waits for the broker without blocking the loop.

        Any number of coroutines publish through one thread and one connection of the application;
        messages that wait at the same time share a round trip. A call that is cancelled while it
        waits may be published or not. With ``task_always_eager`` the task runs on the loop's own
        thread.

        Args:
            args: As for ``apply_async``, like all others.

        Raises:
            As ``apply_async``.
        """
        from fastworker.app.calling import apublish

        return await apublish(self, args, kwargs, options)

    def lane(self) -> Lane | None:
        """The short cut of publishing, when calls without options may take it now."""
        lane = self._lane
        if lane is None or not lane.is_open():
            from fastworker.app.lane import open_lane

            lane = self.__dict__["_lane"] = open_lane(self)
        return lane

    def has_plain_publishing(self) -> bool:
        """No subclass interferes with publishing, so that calls may take the short cut."""
        cls = type(self)
        if self.dump_models is not None:
            return False
        if self.soft_time_limit and self.time_limit and self.soft_time_limit > self.time_limit:
            return False
        return cls.shadow_name is Task.shadow_name and cls.AsyncResult is Task.AsyncResult

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """
        Raises:
            TypeError: ``args`` and ``kwargs`` do not fit the function; Python's own text.
        """
        checker = getattr(self, "__header__", None)
        if checker is not None:
            checker(*args, **kwargs)

    def map_async(
        self, iterable: Iterable[Any], chunksize: int | None = None, **options: Any
    ) -> BulkResult:
        """Publish one call for each item, which is its only argument; many at a time, in constant memory.

        Args:
            iterable: Consumed as it is published.
            chunksize: Calls in a message, which run one after the other and share its fate, as those of ``chunks``; the
                result gives their values one by one. None: each is a call like any other.
            options: As for ``apply_async``, the same for every call. ``max_queue_length``: wait while the queue is as
                long; without it ``task_stream_max_queue_length`` holds, and 0 is no bound.

        Raises:
            As ``apply_async``; calls before the one that raises are published.
        """
        return self.starmap_async(((item,) for item in iterable), chunksize, **options)

    def starmap_async(
        self, iterable: Iterable[Sequence[Any]], chunksize: int | None = None, **options: Any
    ) -> BulkResult:
        """``map_async`` for tasks of several arguments: each item is a sequence of them."""
        from fastworker.app.bulk import publish_many

        return publish_many(self, iterable, chunksize, options)

    async def amap_async(
        self,
        iterable: Iterable[Any] | AsyncIterable[Any],
        chunksize: int | None = None,
        **options: Any,
    ) -> BulkResult:
        """``map_async`` for a coroutine, of an iterable or an asynchronous one; does not block the loop."""
        from fastworker.app.bulk import apublish_many

        if isinstance(iterable, AsyncIterable):
            acalls = ((item,) async for item in iterable)
            return await apublish_many(self, acalls, chunksize, options)
        return await apublish_many(self, ((item,) for item in iterable), chunksize, options)

    async def astarmap_async(
        self,
        iterable: Iterable[Sequence[Any]] | AsyncIterable[Sequence[Any]],
        chunksize: int | None = None,
        **options: Any,
    ) -> BulkResult:
        """``amap_async`` for tasks of several arguments: each item is a sequence of them."""
        from fastworker.app.bulk import apublish_many

        return await apublish_many(self, iterable, chunksize, options)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int | None = None,
        throw: bool | None = None,
        logfile: str | None = None,
        loglevel: int | None = None,
        headers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[R]:
        """Run the task here as a worker would, retries and hooks included.

        Args:
            throw: Raise the task's exception. None: ``task_eager_propagates``.
            retries: How often it ran before.
        """
        from fastworker.app.eager import run_eagerly

        return run_eagerly(
            self,
            tuple(args or ()),
            dict(kwargs or {}),
            task_id=task_id,
            retries=retries or 0,
            throw=throw,
            link=link,
            link_error=link_error,
            request={"logfile": logfile, "loglevel": loglevel or 0, "headers": headers},
            options=options,
        )

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Publish this call again, to run later; write ``raise self.retry(…)``.

        Args:
            args: Other positional arguments.
            kwargs: Other keyword arguments.
            exc: Why; raised when there are no retries left.
            throw: False: return the ``Retry`` in place of raising it.
            eta: When, as a datetime.
            countdown: When, in seconds from now. None: ``default_retry_delay``.
            max_retries: For this call, in place of the task's.
            options: As for ``apply_async``.

        Raises:
            Retry: Always, unless ``throw`` is False; tells the worker.
            MaxRetriesExceededError: No retries are left, and no ``exc`` was given.
            Reject: The new message could not be published.
        """
        from fastworker.app.retry import retry

        return retry(self, args, kwargs, exc, throw, eta, countdown, max_retries, options)

    def send_event(
        self,
        type_: str,
        retry: bool = True,
        retry_policy: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Send an event about the running call to monitors, whether or not its worker tells of tasks.

        Args:
            type_: Such as ``task-progress``.
            retry, retry_policy: As in Celery; the worker sends it when it can.
            fields: What it says.

        Raises:
            EncodeError: A field has no form in ``event_serializer``.
        """
        request = self.request
        with self.bound_app().events.default_dispatcher(hostname=request.hostname) as dispatcher:
            dispatcher.send(type_, uuid=request.id, **fields)

    # -------------------------------------------------------------------------------------- results

    def AsyncResult(self, task_id: str, **kwargs: Any) -> AsyncResult[R]:
        """The result of the call with this id."""
        result: AsyncResult[R] = self.bound_app().AsyncResult(
            task_id, backend=self._backend, **kwargs
        )
        return result

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **kwargs: Any
    ) -> None:
        """Store a state of the task's own, such as its progress.

        Args:
            task_id: Whose; None: the call that runs here.
            state: Any text; None stores ``meta`` without one.
            meta: Shown as the result's ``info``.
        """
        request = self.request
        task_id = request.id if task_id is None else task_id
        self.backend.store_result(task_id, meta, state, request=request, **kwargs)

    @property
    def backend(self) -> Any:
        """The result store of this task."""
        return self._backend if self._backend is not None else self.bound_app().backend

    @backend.setter
    def backend(self, backend: Any) -> None:
        self._backend = backend

    def add_trail(self, result: Any) -> Any:
        """Count ``result`` as a child of the call that runs here."""
        if self.trail:
            self.request.children.append(result)
        return result

    # -------------------------------------------------------------------------------------- request

    @property
    def request(self) -> Any:
        """The call that runs here; an empty one outside of a call."""
        self.bound_app()
        request = self.request_stack.top
        if request is None:
            request = self.__dict__.get("_default_request")
            if request is None:
                request = self.__dict__["_default_request"] = Context()
        return request

    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """Begin a call with the attributes of the present one and these."""
        self.bound_app()
        self.request_stack.push(Context(*args, **{**self.request.__dict__, **kwargs}))

    def pop_request(self) -> None:
        """End the innermost call."""
        self.request_stack.pop()

    # ---------------------------------------------------------------------------------------- hooks

    def shadow_name(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str | None:
        """Name to show in logs for a call; to be overridden."""
        return None

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before the body; to be overridden, like all that follow."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called after the body returned."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the call is to be retried."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after the body raised."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Called last, whatever happened but a retry, ``Ignore`` or ``Reject``."""

    # ------------------------------------------------------------------------------------- identity

    def __reduce__(self) -> tuple[Any, ...]:
        """A task is pickled as its name; the reader imports its module and asks its own
        registry.
        """
        module = type(self).__module__
        return _task_by_name, (self.name, module if module in sys.modules else None)

    def __repr__(self) -> str:
        return f"<@task: {self.name} of {self._app!r}>"

    @property
    def __name__(self) -> str:
        """The function's name."""
        return str(type(self).__name__)


def _task_by_name(name: str, module: str | None) -> Any:
    if module:
        __import__(module)
    return get_current_app().tasks[name]
