"""``Task.apply``: run a task in this process as a worker would run it, without broker and
worker.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker import _core, signals, states
from fastworker.app.arguments import encode_error
from fastworker.app.context import Context
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.errbacks import call_errbacks
from fastworker.app.naming import hostname
from fastworker.app.state import task_stack
from fastworker.canvas.copying import plain
from fastworker.canvas.signature import as_list, maybe_signature
from fastworker.errors import ContentDisallowed, EncodeError, Ignore, Reject, Retry
from fastworker.results.eager_result import EagerResult
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.app.task import Task

logger = logging.getLogger(__name__)


def run_eagerly(
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    task_id: str | None,
    retries: int,
    throw: bool | None,
    link: Any,
    link_error: Any,
    request: Mapping[str, Any],
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """Run a task here.

    Args:
        task: The task.
        args: Positional arguments.
        kwargs: Keyword arguments.
        task_id: Id; None draws one.
        retries: How often it ran before.
        throw: Raise its exception. None: ``task_eager_propagates``.
        link: Signatures to apply on success.
        link_error: Signatures to apply on failure.
        request: More attributes of the request.
        options: Those of ``apply_async`` that the request shows.
    """
    app = task.bound_app()
    task_id = task_id or _core.new_id()
    throw = app.conf.task_eager_propagates if throw is None else throw
    task = app.tasks[task.name]
    is_strict = app.conf.task_eager_strict
    if is_strict:
        serializer = options.get("serializer") or app.conf.task_serializer
        args, kwargs = as_travelled(task, args, kwargs, serializer)
        refuse_what_would_not_travel(
            task,
            serializer,
            {"link": link, "link_error": link_error, "headers": request.get("headers")},
        )
    context = _context(task, args, kwargs, task_id, retries, link, link_error, request, options)
    run = _Run(task, context, throw, is_strict)
    state, value, text = run()
    if isinstance(value, Retry) and value.sig is not None:
        return value.sig.apply(retries=retries + 1, throw=throw)  # type: ignore[no-any-return]
    return EagerResult(task_id, value, state, traceback=text, name=task.name)


def as_travelled(
    task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], serializer: str | None
) -> tuple[Any, Any]:
    """The arguments as a worker would get them, so that eager tests find what does not survive the
    journey.

    Raises:
        EncodeError: Names the argument.
    """
    chosen = registry.get(serializer or task.bound_app().conf.task_serializer)
    try:
        data = chosen.dumps((args, kwargs))
    except Exception as exc:  # serializers raise what they like
        raise encode_error(task.name, chosen.name, args, kwargs, exc, chosen.dumps) from exc
    travelled_args, travelled_kwargs = chosen.loads(data)
    return travelled_args, travelled_kwargs


def refuse_what_would_not_travel(
    task: Task[..., Any], serializer: str, parts: Mapping[str, Any]
) -> None:
    """Everything else that a message carries, and whether a worker would read it.

    Raises:
        ContentDisallowed: The serializer is not in ``accept_content``.
        EncodeError: Names the part.
    """
    chosen = registry.get(serializer)
    conf = task.bound_app().conf
    if chosen.content_type not in (
        registry.content_types(conf.accept_content) or (chosen.content_type,)
    ):
        raise ContentDisallowed(
            f"task {task.name!r}: a worker would refuse what {serializer} writes ({chosen.content_type}): "
            f"accept_content is {sorted(conf.accept_content)}; add {serializer!r} to it, or choose another serializer"
        )
    for name, part in parts.items():
        if part is None:
            continue
        # Headers are JSON, whatever the body is.
        write = _core.dumps if name == "headers" else chosen.dumps
        try:
            write(plain(as_list(part)) if name != "headers" else part)
        except Exception as exc:  # serializers raise what they like
            raise EncodeError(
                f"task {task.name!r}: its {name} cannot be serialised as "
                f"{'json' if name == 'headers' else serializer}: {exc}"
            ) from exc


def _context(
    task: Task[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    task_id: str,
    retries: int,
    link: Any,
    link_error: Any,
    request: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Context:
    parent = task_stack.top
    has_limits = task.time_limit is not None or task.soft_time_limit is not None
    context = Context(
        {
            "id": task_id,
            "task": task.name,
            "args": args,
            "kwargs": kwargs,
            "called_directly": False,
            "parent_id": parent.request.id if parent is not None else None,
            "root_id": (parent.request.root_id if parent is not None else None) or task_id,
            "retries": retries,
            "is_eager": True,
            "hostname": hostname(),
            "callbacks": as_list(link) or None,
            "errbacks": as_list(link_error) or None,
            "timelimit": [task.time_limit, task.soft_time_limit] if has_limits else None,
            "ignore_result": options.get("ignore_result", task.ignore_result),
            "delivery_info": {
                "is_eager": True,
                "exchange": options.get("exchange"),
                "routing_key": options.get("routing_key"),
                "priority": options.get("priority"),
            },
            **request,
        }
    )
    if "stamped_headers" in options:
        context.stamped_headers = as_list(options["stamped_headers"])
        context.stamps = {name: as_list(options.get(name)) for name in context.stamped_headers}
    return context


class _Run:
    """One run: the steps of celery-contract 9.3, in their order."""

    def __init__(
        self, task: Task[..., Any], context: Context, throw: bool, is_strict: bool
    ) -> None:
        self._task = task
        self._context = context
        self._throw = throw
        #: What a client would read is what the serializer makes of it.
        self._is_strict = is_strict and not context.ignore_result
        self._call = (context.id or "", context.args, context.kwargs)

    def __call__(self) -> tuple[str, Any, str | None]:
        """``(state, value or exception, traceback text)``."""
        task, context = self._task, self._context
        task_id, args, kwargs = self._call
        task_stack.push(task)
        task.request_stack.push(context)
        state, value, text = states.SUCCESS, None, None
        try:
            if signals.task_prerun.has_receivers:
                signals.task_prerun.send(
                    sender=task, task_id=task_id, task=task, args=args, kwargs=kwargs
                )
            state, value, text = self._run()
        finally:
            if signals.task_postrun.has_receivers:
                signals.task_postrun.send(
                    sender=task,
                    task_id=task_id,
                    task=task,
                    args=args,
                    kwargs=kwargs,
                    retval=value,
                    state=state,
                )
            task.request_stack.pop()
            task_stack.pop()
        return state, value, text

    def _run(self) -> tuple[str, Any, str | None]:
        task = self._task
        task_id, args, kwargs = self._call
        started = time.monotonic()
        try:
            task.before_start(task_id, args, kwargs)
            if task.batch is not None:
                from fastworker.app.batches import run_alone

                value = run_alone(task, self._context, self._called)
            else:
                value = self._called(*args, **kwargs)
            as_read = self._as_read(value, states.SUCCESS)
            self._apply_callbacks(value)
        except Retry as retry:
            if self._throw:
                raise
            return self._retried(retry)
        except (Ignore, Reject) as predicate:
            state = states.IGNORED if isinstance(predicate, Ignore) else states.REJECTED
            return state, predicate, None
        except Exception as exc:
            if self._throw:  # to the caller as it is, before any hook: it is the caller's now
                raise
            return self._failed(exc)
        self._store(value, states.SUCCESS, None)
        self._hook(task.on_success, value, *self._call)
        if signals.task_success.has_receivers:
            signals.task_success.send(sender=task, result=value, runtime=time.monotonic() - started)
        self._hook(task.after_return, states.SUCCESS, value, *self._call, None)
        return states.SUCCESS, as_read, None

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        """What the task's function returns, to its end if it is a coroutine."""
        task = self._task
        is_plain = type(task).__call__ is _plain_call()
        value = task.run(*args, **kwargs) if is_plain else task(*args, **kwargs)
        return _run_to_end(value) if inspect.iscoroutine(value) else value

    def _as_read(self, value: Any, state: str) -> Any:
        """A result, or an error, as a client reads it from the result store.

        Raises:
            EncodeError: It cannot be stored; a worker fails the task with the same words.
        """
        if not self._is_strict:
            return value
        task_id, backend = self._call[0], self._task.app.backend
        try:
            return backend.decode(task_id, backend.document(task_id, value, state))["result"]
        except (TypeError, ValueError, EncodeError) as exc:
            raise unstorable(self._task, value, exc) from exc

    def _apply_callbacks(self, value: Any) -> None:
        for callback in self._context.callbacks or ():
            signature = maybe_signature(callback, self._task.app)
            signature.apply_async(
                (value,), parent_id=self._context.id, root_id=self._context.root_id
            )

    def _retried(self, retry: Retry) -> tuple[str, Any, str | None]:
        einfo = ExceptionInfo(retry)
        text = einfo.traceback
        self._store(retry.exc, states.RETRY, text)
        self._hook(self._task.on_retry, retry.exc, *self._call, einfo)
        if signals.task_retry.has_receivers:
            signals.task_retry.send(
                sender=self._task, request=self._context, reason=retry, einfo=einfo
            )
        return states.RETRY, retry, text

    def _failed(self, exc: Exception) -> tuple[str, Any, str | None]:
        task_id, args, kwargs = self._call
        einfo = ExceptionInfo(exc)
        text = einfo.traceback
        self._store(exc, states.FAILURE, text)
        call_errbacks(
            self._task.bound_app(), self._context, exc, text, {"errbacks": self._context.errbacks}
        )
        self._hook(self._task.on_failure, exc, *self._call, einfo)
        if signals.task_failure.has_receivers:
            signals.task_failure.send(
                sender=self._task,
                task_id=task_id,
                exception=exc,
                args=args,
                kwargs=kwargs,
                traceback=exc.__traceback__,
                einfo=einfo,
            )
        self._hook(self._task.after_return, states.FAILURE, exc, *self._call, einfo)
        return states.FAILURE, self._as_read(exc, states.FAILURE), text

    def _store(self, value: Any, state: str, text: str | None) -> None:
        if self._task.store_eager_result and not self._context.ignore_result:
            self._task.backend.store_result(self._context.id, value, state, text, self._context)

    def _hook(self, hook: Any, *args: Any) -> None:
        """A hook that raises does not change the outcome, which is decided and stored."""
        try:
            hook(*args)
        except Exception:
            logger.exception("task %s: %s raised", self._task.name, getattr(hook, "__name__", hook))


def _run_to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a task's coroutine returns, on an event loop of its own; in a thread of its own where one runs already."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(context.run, asyncio.run, coroutine).result()


def unstorable(task: Any, value: Any, cause: BaseException) -> EncodeError:
    """The error of a task whose return value has no form in the result serializer."""
    return EncodeError(
        f"task {task.name} returned a {type(value).__name__} that cannot be stored: {cause}; return something that "
        f"{task.app.conf.result_serializer} can write, or set ignore_result=True"
    )


def _plain_call() -> Any:
    from fastworker.app.task import Task

    return Task.__call__
