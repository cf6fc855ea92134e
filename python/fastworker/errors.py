"""Every error that fastworker raises, ordered by who must act.

The classes carry Celery's names and bases (``NotRegistered`` is a ``KeyError``,
``OperationalError`` a ``KombuError``), because user code catches them by both. On the wire they
also travel under Celery's module names; ``results/remote_error.py`` does that mapping.
"""

from __future__ import annotations

import sys
from typing import Any


class FastWorkerError(Exception):
    """Root of the errors that belong to tasks and configuration (Celery's ``CeleryError``)."""


class KombuError(Exception):
    """Root of the errors that belong to messages (kombu's name; not a ``FastWorkerError``, as in
    Celery).
    """


# -------------------------------------------------------------------------------- the deployer acts


class ImproperlyConfigured(FastWorkerError):
    """A setting, URL or argument cannot be used. Raised at start or at publish, never by a running
    task.
    """


class SecurityError(FastWorkerError):
    """Something that arrived asks for more than data may ask for."""


class SerializerNotInstalled(KombuError):
    """The serializer is unknown, or its library is not installed."""


# ---------------------------------------------------------------------------------- the caller acts


class OperationalError(KombuError):
    """The broker did not confirm: unreachable, or gone before it answered."""


class WorkerEnded(OperationalError):
    """What was asked of a worker of this process comes too late: it has ended."""


class SerializationError(KombuError):
    """A value and its bytes do not go together."""


class EncodeError(SerializationError):
    """A value has no form in the chosen serializer; nothing was published."""


class TaskError(FastWorkerError):
    """Root of the errors about one task."""


class QueueNotFound(KeyError, TaskError):
    """The task is routed to a queue that ``task_queues`` does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class TimeoutError(TaskError):
    """The result did not arrive in time. Not the built-in ``TimeoutError``; Celery's is not
    either.
    """


class AlreadyRegistered(TaskError):
    """The task is registered already."""


class IncompleteStream(TaskError):
    """Results were collected from a task that has not finished."""


# ---------------------------------------------------------------------------------- the sender acts


class DecodeError(SerializationError):
    """A body is not what its content type says."""


class ContentDisallowed(SerializerNotInstalled):
    """The content type is not in ``accept_content``."""


class InvalidTaskError(TaskError):
    """The message names a task but is not a well-formed call."""


class NotRegistered(KeyError, TaskError):
    """No task of that name is known here; most often its module was not imported."""

    def __repr__(self) -> str:
        return f"Task of kind {self} never registered, please make sure it's imported."


# --------------------------------------------------------------------------- the task's author acts


class SoftTimeLimitExceeded(Exception):
    """Raised inside the task, so that it can clean up."""

    def __str__(self) -> str:
        return f"SoftTimeLimitExceeded{self.args}"


class TimeLimitExceeded(Exception):
    """The hard limit passed and the child was killed."""

    def __str__(self) -> str:
        return f"TimeLimitExceeded{self.args}"


class WorkerLostError(Exception):
    """The process that ran the task died."""


class Terminated(Exception):
    """The process that ran the task was killed on request."""


class MaxRetriesExceededError(TaskError):
    """The task asked for one retry more than ``max_retries`` allows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task_args = kwargs.pop("task_args", [])
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args, **kwargs)


class TaskRevokedError(TaskError):
    """The task was revoked or expired: there is no result."""


class ChordError(TaskError):
    """A task of a chord's header failed."""


class MissingReferenceError(TaskError):
    """What a message refers to is not in the result store any more."""


# --------------------------------------------------------------------- infrastructure: we try again


class BrokerError(KombuError):
    """The worker lost its broker; it reconnects by itself."""


class BackendError(Exception):
    """The result store could not be read or written."""


class BackendGetMetaError(BackendError):
    """Reading a result failed."""

    def __init__(self, *args: Any, task_id: str = "") -> None:
        self.task_id = task_id
        super().__init__(*args)


class BackendStoreError(BackendError):
    """Writing a result failed; the caller must not acknowledge."""

    def __init__(self, *args: Any, state: str = "", task_id: str = "") -> None:
        self.state = state
        self.task_id = task_id
        super().__init__(*args)


# -------------------------------------------------------------------- control flow, never a failure


class TaskPredicate(FastWorkerError):
    """What a task raises to say something other than "I failed"."""


class Retry(TaskPredicate):
    """The task runs again later; ``Task.retry`` raises it after the new message is published.

    Args:
        message: Shown in place of the generated text.
        exc: What made the task retry: an exception, or only its text.
        when: Seconds from now, or a datetime.
        is_eager: The task runs in ``apply()``; nothing was published.
        sig: The call that will run again.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: Any = None,
        is_eager: bool = False,
        sig: Any = None,
        **kwargs: Any,
    ) -> None:
        self.message = message
        self.exc = None if isinstance(exc, str) else exc
        self.excs = exc if isinstance(exc, str) else repr(exc) if exc is not None else None
        self.when = when
        self.is_eager = is_eager
        self.sig = sig
        super().__init__(self, exc, when, **kwargs)

    def humanize(self) -> str:
        """When it runs again, in words."""
        return f"in {self.when}s" if isinstance(self.when, int | float) else f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}: {self.excs}" if self.excs else f"Retry {self.humanize()}"

    def __repr__(self) -> str:
        # ``args`` holds the exception itself, as Celery's does; the inherited repr would never end.
        return f"Retry({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.exc, self.when)


class Ignore(TaskPredicate):
    """No state is stored for this run."""


class Replaced(Ignore):
    """What ``Task.replace`` raises: another task ends in the place of this one."""


class Reject(TaskPredicate):
    """The message is refused: to the dead letters, or with ``requeue`` back to its queue."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        self.reason = reason
        self.requeue = requeue
        super().__init__(reason, requeue)

    def __repr__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class WorkerTerminate(SystemExit):
    """Raised in the worker: stop at once."""


class WorkerShutdown(SystemExit):
    """Raised in the worker: finish what runs, then stop."""


# ----------------------------------------------------------------------------------------- warnings


class FastWorkerWarning(UserWarning):
    """Root of our warnings (Celery's ``CeleryWarning``)."""


class CDeprecationWarning(DeprecationWarning):
    """Something will go in a coming version of Celery (Celery's name)."""


class CPendingDeprecationWarning(PendingDeprecationWarning):
    """Something will be deprecated in a coming version of Celery (Celery's name)."""


class AlwaysEagerIgnored(FastWorkerWarning):
    """``send_task`` publishes even under ``task_always_eager``."""


class DuplicateNodenameWarning(FastWorkerWarning):
    """Two workers use one node name."""


class DuplicateTaskNameWarning(FastWorkerWarning):
    """Two callables were registered under one task name."""


class FixupWarning(FastWorkerWarning):
    """An integration could not be set up."""


class NotConfigured(FastWorkerWarning):
    """No configuration module was found."""


class SecurityWarning(FastWorkerWarning):
    """Something is more open than it should be."""


def from_core(name: str, text: str) -> Exception:
    """Build the error that the Rust half names; ``_core`` raises what this returns.

    Args:
        name: A class of this module, such as ``OperationalError``.
        text: The whole message.

    Raises:
        LookupError: Rust named a class that this module does not have (a programming error).
    """
    cls = getattr(sys.modules[__name__], name, None)
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        raise LookupError(f"fastworker.errors has no exception class {name!r}")
    return cls(text)
