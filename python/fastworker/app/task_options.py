"""What a task is told: its options, as attributes, and how those that nobody set get their value.

Options that are None take the value of a setting when the task is bound to its application, then
``task_annotations`` are applied. Until then no setting is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastworker.app.annotations import annotations_of
from fastworker.app.batch_options import check_batch
from fastworker.app.state import LocalStack, get_current_app
from fastworker.app.worker_classes import refuse_worker_classes

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.app.lane import Lane

#: Attributes that are options of every call.
_EXEC_OPTIONS = (
    "queue",
    "routing_key",
    "exchange",
    "priority",
    "expires",
    "serializer",
    "delivery_mode",
    "compression",
    "time_limit",
    "soft_time_limit",
)
#: Attributes that come from settings when they are None.
_FROM_SETTINGS = (
    ("serializer", "task_serializer"),
    ("rate_limit", "task_default_rate_limit"),
    ("priority", "task_default_priority"),
    ("time_limit", "task_time_limit"),
    ("soft_time_limit", "task_soft_time_limit"),
    ("track_started", "task_track_started"),
    ("acks_late", "task_acks_late"),
    ("acks_on_failure_or_timeout", "task_acks_on_failure_or_timeout"),
    ("acks_on_failure", "task_acks_on_failure"),
    ("acks_on_timeout", "task_acks_on_timeout"),
    ("reject_on_worker_lost", "task_reject_on_worker_lost"),
    ("retry_on_worker_lost", "task_retry_on_worker_lost"),
    ("ignore_result", "task_ignore_result"),
    ("store_eager_result", "task_store_eager_result"),
    ("store_errors_even_if_ignored", "task_store_errors_even_if_ignored"),
)


class _AppOfClass:
    """``Task.app``, also on the class; reading it binds the task to the current application if to
    no other.
    """

    def __get__(self, task: Any, cls: type[TaskOptions]) -> FastWorker:
        return cls.bound_app()

    def __set__(self, task: TaskOptions, app: FastWorker) -> None:
        type(task).bind(app)


class TaskOptions:
    """The options of a task and its binding; ``Task`` adds the verbs."""

    app = _AppOfClass()
    _app: ClassVar[FastWorker | None] = None
    _is_bound: ClassVar[bool] = False

    #: Registered name.
    name: str = None  # type: ignore[assignment]
    #: Check arguments against the signature at publish. None: the application's ``strict_typing``.
    typing: bool | None = None
    #: Retries before giving up; None retries for ever.
    max_retries: int | None = 3
    #: Seconds before a retry.
    default_retry_delay: float = 3 * 60
    #: ``10`` or ``"10/s"``, ``"10/m"``, ``"10/h"``, per worker.
    rate_limit: Any = None
    #: Whose starts count: each worker's by itself (``"worker"``, Celery's meaning and the default), or those of all
    #: workers together (``"cluster"``).
    rate_limit_scope: str | None = None
    #: Have a limit for each value of this, over all workers: the name of an argument, or a function of
    #: ``(args, kwargs)``. Evaluated at publish.
    rate_limit_key: Any = None
    #: Give the function a list of up to so many calls (``SimpleRequest``) in place of the arguments of one.
    batch: int | None = None
    #: Seconds that a call waits for others; None: 1.
    batch_timeout: float | None = None
    ignore_result: bool | None = None
    #: Remember the tasks that this one publishes, as its result's ``children``.
    trail: bool = True
    send_events: bool = True
    store_errors_even_if_ignored: bool | None = None
    store_eager_result: bool | None = None
    serializer: str | None = None
    compression: str | None = None
    #: Seconds until the process is killed.
    time_limit: float | None = None
    #: Seconds until ``SoftTimeLimitExceeded`` is raised in the task.
    soft_time_limit: float | None = None
    track_started: bool | None = None
    #: Acknowledge after the task has run, so that a lost worker's tasks run again.
    acks_late: bool | None = None
    acks_on_failure_or_timeout: bool | None = None
    acks_on_failure: bool | None = None
    acks_on_timeout: bool | None = None
    reject_on_worker_lost: bool | None = None
    retry_on_worker_lost: bool | None = None
    #: Exceptions that are no surprise: logged at INFO without a traceback.
    throws: tuple[type[BaseException], ...] = ()
    expires: Any = None
    #: 0 to 9; 0 is the most urgent.
    priority: int | None = None
    queue: Any = None
    exchange: Any = None
    routing_key: str | None = None
    delivery_mode: Any = None
    #: Longest text of a result in logs.
    resultrepr_maxsize: int = 1024
    abstract: bool = True

    #: The requests of calls that run here, innermost last.
    request_stack: ClassVar[LocalStack[Any]]
    #: Of a task made with ``pydantic=True``: writes models among the arguments as plain values.
    dump_models: Any = None
    _default_request: Any = None
    _backend: Any = None
    _lane: Lane | None = None

    # -------------------------------------------------------------------------------------- binding

    @classmethod
    def bind(cls, app: FastWorker) -> FastWorker:
        """Make this task ``app``'s: fill in what the settings say. Repeating it changes nothing
        that is set.
        """
        refuse_worker_classes(cls, cls.name or cls.__qualname__)
        was_bound, cls._is_bound = cls.__dict__.get("_is_bound", False), True
        cls._app = app
        conf = app.conf
        if cls.typing is None:
            cls.typing = app.strict_typing
        for attribute, setting in _FROM_SETTINGS:
            if getattr(cls, attribute, None) is None:
                setattr(cls, attribute, conf[setting])
        either = True if cls.acks_on_failure_or_timeout is None else cls.acks_on_failure_or_timeout
        cls.acks_on_failure = either if cls.acks_on_failure is None else cls.acks_on_failure
        cls.acks_on_timeout = either if cls.acks_on_timeout is None else cls.acks_on_timeout
        if not was_bound:
            for annotation in annotations_of(conf.task_annotations, cls):
                cls._annotate(annotation)
            cls.request_stack = LocalStack(f"fastworker_requests_{cls.__name__}")
        if cls.batch is not None or cls.batch_timeout is not None:
            check_batch(cls)
        cls.on_bound(app)
        return app

    @classmethod
    def on_bound(cls, app: FastWorker) -> None:
        """Called when the task is bound; to be overridden."""

    @classmethod
    def bound_app(cls) -> FastWorker:
        """The application; binds the task to the current one if it has none."""
        if cls._app is None:
            cls._app = get_current_app()
        if not cls.__dict__.get("_is_bound", False):
            cls.bind(cls._app)
        return cls._app

    @classmethod
    def _annotate(cls, annotation: Mapping[str, Any]) -> None:
        """Set attributes; ``@name`` wraps the method ``name`` in a decorator."""
        for key, value in annotation.items():
            if not key.startswith("@"):
                setattr(cls, key, value)
                continue
            original = getattr(cls, key[1:])
            original = getattr(original, "__wrapped__", None) or original
            wrapped = value(original)
            wrapped.__wrapped__ = original
            setattr(cls, key[1:], wrapped)

    def exec_options(self) -> dict[str, Any]:
        """The options of every call that are attributes of the task, without those that are
        None.
        """
        values = ((name, getattr(self, name, None)) for name in _EXEC_OPTIONS)
        return {name: value for name, value in values if value is not None}
