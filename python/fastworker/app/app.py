"""``FastWorker``: the application. A facade: every verb is carried out by the module that is named
after it.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from fastworker import _core
from fastworker.app import runs, state
from fastworker.app.autodiscover import Packages, autodiscover
from fastworker.app.autoretry import add_autoretry
from fastworker.app.broker import BrokerChoice, find_home
from fastworker.app.builtin_tasks import add_builtin_tasks
from fastworker.app.create import task_from_function, warn_duplicate
from fastworker.app.lifespan import Lifespan, Lifespans
from fastworker.app.modules import import_task_modules
from fastworker.app.naming import client_id, qualified_name, task_name
from fastworker.app.not_yet import refuse_constructor_arguments, refused
from fastworker.app.proxy import PromiseProxy
from fastworker.app.registry import TaskRegistry
from fastworker.app.settings import Settings
from fastworker.app.settings_source import environment_loader, name_from_envvar, object_loader
from fastworker.app.symbols import symbol_by_name
from fastworker.app.task import Task
from fastworker.app.timezone import timezone_of
from fastworker.app.unacted import unacted
from fastworker.app.user_options import UserOptions
from fastworker.errors import SoftTimeLimitExceeded
from fastworker.observer import Signal
from fastworker.signals import import_modules

if TYPE_CHECKING:
    from fastworker.app.clock import LamportClock
    from fastworker.app.control import Control
    from fastworker.app.events import Events
    from fastworker.app.link import Address
    from fastworker.app.outbox import Outbox
    from fastworker.app.parked import ParkedTasks
    from fastworker.app.publishing import Publishing
    from fastworker.results.async_result import AsyncResult
    from fastworker.results.backend import Backend

P = ParamSpec("P")
R = TypeVar("R")


class FastWorker:
    """An application: tasks, settings, a broker and a result store.

    Takes all of Celery's arguments; those that need what fastworker does not have yet are refused.

    Args:
        main: Stands for ``__main__`` in task names when the module is run as a script.
        broker: URL of the broker. None: the setting, else a file beside the module.
        backend: URL of the result store. None: the setting, else beside the default broker.
        include: Modules that a worker imports.
        tasks: Tasks to begin with, by name.
        task_cls: Base class of decorated tasks, or its name.
        set_as_current: Make it the current application of this thread.
        autofinalize: Using a task finalises the application. False: that is an error until
            ``finalize()``.
        namespace: Prefix of setting names in the configuration source.
        strict_typing: Check arguments at publish, for tasks that do not say.
        config_source: As for ``config_from_object``.
        config_source_silent: As ``silent`` there.
        changes: Settings.
        kwargs: More settings.
    """

    #: Base class of decorated tasks; to be overridden in subclasses.
    task_cls: Any = Task
    #: What is raised in a task whose soft time limit is over.
    soft_time_limit_exceeded: type[SoftTimeLimitExceeded] = SoftTimeLimitExceeded

    def __init__(
        self,
        main: str | None = None,
        loader: Any = None,
        backend: Any = None,
        amqp: Any = None,
        events: Any = None,
        log: Any = None,
        control: Any = None,
        set_as_current: bool = True,
        tasks: Mapping[str, Any] | None = None,
        broker: str | Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        changes: Mapping[str, Any] | None = None,
        config_source: Any = None,
        fixups: Iterable[Any] | None = None,
        task_cls: Any = None,
        autofinalize: bool = True,
        namespace: str | None = None,
        strict_typing: bool = True,
        config_source_silent: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse_constructor_arguments(
            loader=loader, amqp=amqp, events=events, log=log, control=control, fixups=fixups
        )
        self.main = main
        self.set_as_current = set_as_current
        self.autofinalize = autofinalize
        self.strict_typing = strict_typing
        self.task_cls = task_cls or self.task_cls
        self.finalized = False
        self.duplicates_warned: set[str] = set()
        self._finalizing = threading.RLock()
        self._pending: deque[PromiseProxy] = deque()
        self._tasks = tasks if isinstance(tasks, TaskRegistry) else TaskRegistry(tasks or {})
        #: Sent before the configuration is read, after it was read (``source=``), after
        #: ``finalize``, after a fork.
        self.on_configure = Signal("app.on_configure")
        self.on_after_configure = Signal("app.on_after_configure", ("source",))
        self.on_after_finalize = Signal("app.on_after_finalize")
        self.on_after_fork = Signal("app.on_after_fork")
        given = {"broker_url": broker, "result_backend": backend, "include": include, **kwargs}
        self.conf = Settings(
            changes={
                **(changes or {}),
                **{key: value for key, value in given.items() if value is not None},
            },
            loader=self._loader(
                environment_loader
                if config_source is None
                else object_loader(config_source, silent=config_source_silent)
            ),
            namespace=namespace,
            on_loaded=self._after_configure,
        )
        self.lifespans = Lifespans()
        self.user_options = UserOptions()
        self.broker = BrokerChoice(self.conf, *find_home(main))
        self._backend: Backend | None = None
        #: Version of the settings that it was made from, and what they said.
        self._oid: tuple[int, str] | None = None
        self._backend_made_of: tuple[int, str | None, dict[str, str]] | None = None
        self.on_init()
        if set_as_current:
            self.set_current()
        state.register_app(self)

    def on_init(self) -> None:
        """Called at the end of construction; to be overridden."""

    # ---------------------------------------------------------------------------------------- tasks

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self, *, bind: Literal[True], **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
    @overload
    def task(self, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, *args: Any, **options: Any) -> Any:
        """Decorate a function to be a task: ``@app.task`` or ``@app.task(bind=True, …)``.

        The task is made at its first use, so that decorating reads no settings.

        Args:
            args: The function.
            options: ``name``, ``base``, ``bind``; ``lazy=False`` makes it now; ``shared=False``
                keeps it from other applications; ``filter`` is applied to the task; all others
                become attributes of the task.
        """
        if args:
            if len(args) > 1 or not callable(args[0]):
                raise TypeError("@app.task takes one function, or only keyword arguments")
            return self._decorate(args[0], **options)
        return lambda function: self._decorate(function, **options)

    def _decorate(
        self,
        function: Callable[..., Any],
        shared: bool = True,
        filter: Callable[[Any], Any] | None = None,
        lazy: bool = True,
        **options: Any,
    ) -> Any:
        if shared:
            state.connect_on_app_finalize(lambda app: app.task_from_function(function, **options))
        if lazy and not self.finalized:
            task: Any = PromiseProxy(
                lambda: self.task_from_function(function, **options), function.__doc__
            )
            self._pending.append(task)
        else:
            task = self.task_from_function(function, **options)
        return filter(task) if filter else task

    def task_from_function(self, function: Callable[..., Any], **options: Any) -> Any:
        """The task of a function, made now; see ``create.py``."""
        return task_from_function(self, function, **options)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a class-based task, given its class or an instance; returns the instance."""
        task = task() if inspect.isclass(task) else task
        if not task.name:
            task.name = self.gen_task_name(type(task).__name__, type(task).__module__)
        existing = self.tasks.get(task.name)
        if existing is not None and existing is not task:
            warn_duplicate(
                self,
                task.name,
                qualified_name(existing),
                qualified_name(task),
                "The new callable replaced the existing one; calls under this name now reach the "
                "new callable.",
            )
        add_autoretry(task, **options)
        self.tasks[task.name] = task
        task.bind(self)
        return task

    @property
    def tasks(self) -> TaskRegistry:
        """The registered tasks by name. Finalises the application."""
        if not self.finalized:
            self.finalize(auto=True)
        return self._tasks

    @property
    def unfinalized_tasks(self) -> TaskRegistry:
        """The registered tasks, without finalising."""
        return self._tasks

    def registered_task(self, name: str) -> Any:
        """The task called ``name``, or None; does not finalise, so that tasks can be sent by name
        before that.
        """
        return self._tasks.get(name)

    def finalize(self, auto: bool = False) -> None:
        """Make all decorated tasks and bind them; once.

        Raises:
            RuntimeError: ``auto`` (by use) and ``autofinalize`` is False.
        """
        with self._finalizing:
            if self.finalized:
                return
            if auto and not self.autofinalize:
                raise RuntimeError("Contract breach: app not finalized")
            self.finalized = True
            add_builtin_tasks(self)
            state.announce_app_finalized(self)
            while self._pending:
                self._pending.popleft().__maybe_evaluate__()
            for task in list(self._tasks.values()):
                task.bind(self)
            self.on_after_finalize.send(sender=self)

    def gen_task_name(self, name: str, module: str | None) -> str:
        """The automatic name of a task; to be overridden."""
        return task_name(self.main, name, module)

    @cached_property
    def Task(self) -> type[Task[..., Any]]:
        """Base class of this application's tasks."""
        base = symbol_by_name(self.task_cls)
        return type(
            "Task", (base,), {"_app": self, "abstract": True, "__module__": base.__module__}
        )

    def autodiscover_tasks(
        self, packages: Packages = None, related_name: str | None = "tasks", force: bool = False
    ) -> Any:
        """Import ``tasks`` of each package when a worker loads; with ``force`` now.

        Args:
            packages: Names, or a function that returns them.
            related_name: Name of the module. None: the packages themselves.
        """
        if force:
            return autodiscover(packages, related_name)

        def discover(**_: Any) -> Any:
            return autodiscover(packages, related_name)

        import_modules.connect(discover, weak=False, sender=self)
        return None

    def import_task_modules(self, include: Iterable[str] = ()) -> None:
        """Import every module that defines tasks; what a worker does first."""
        import_task_modules(self, include)

    def unapplied(self) -> list[str]:
        """What it has that no worker of ours acts on, one line each; said when a worker starts."""
        return unacted(self.conf)

    def framework_report(self) -> list[str]:
        """Lines for a bug report about another framework, whose application this is."""
        return []

    def settings_table(self, with_defaults: bool) -> dict[str, Any]:
        """The settings as whoever wrote them knows them, secrets masked; ``with_defaults``: also those that nobody
        set.
        """
        return self.conf.table(with_defaults)

    def tracer_class(self, task: Any) -> Any:
        """A subclass of ``child.trace.TaskTracer`` that runs the calls of ``task`` in a worker's child. None: the usual
        one. For applications whose tasks are not ours.
        """
        return None

    # -------------------------------------------------------------------------------------- sending

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Publish a call by name; options as for ``Task.apply_async``."""
        from fastworker.app.publish import send_task

        return send_task(self, name, args, kwargs, **options)

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """``send_task`` for a coroutine: waits for the broker without blocking the loop."""
        from fastworker.app.publish import asend_task

        return await asend_task(self, name, args, kwargs, **options)

    def outbox(self) -> Outbox:
        """A new outbox, which takes the calls of one workflow and publishes many at a time."""
        from fastworker.app.outbox import Outbox

        return Outbox(self)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """A signature that belongs to this application."""
        from fastworker.canvas.signature import signature

        return signature(*args, **{**kwargs, "app": self})

    @cached_property
    def publishing(self) -> Publishing:
        """Its side of publishing: settings, routes, connection."""
        from fastworker.app.publishing import Publishing

        return Publishing(self)

    def lifespan(self, function: Lifespan) -> Lifespan:
        """Decorator: what lives as long as a process that runs tasks, such as a connection pool.

        Args:
            function: Takes the application; an asynchronous generator that yields once, or a function that returns an
                asynchronous context manager. It is entered in each process before the first task, on the event loop
                that runs the process's coroutines, and left there after the last.
        """
        return self.lifespans.add(function)

    @cached_property
    def control(self) -> Control:
        """Orders and questions to running workers."""
        from fastworker.app.control import Control

        return Control(self)

    @cached_property
    def parked(self) -> ParkedTasks:
        """Tasks that the broker keeps until they are due."""
        from fastworker.app.parked import ParkedTasks

        return ParkedTasks(self)

    @cached_property
    def events(self) -> Events:
        """Events of its workers and tasks: ``Receiver``, ``Dispatcher``, ``State``."""
        from fastworker.app.events import Events

        return Events(self)

    @cached_property
    def clock(self) -> LamportClock:
        """This process's logical clock."""
        from fastworker.app.clock import LamportClock

        return LamportClock()

    @property
    def oid(self) -> str:
        """Its id as a client, for ``rpc://`` replies; each process has its own."""
        pid = os.getpid()
        if self._oid is None or self._oid[0] != pid:
            self._oid = (pid, client_id(self))
        return self._oid[1]

    @property
    def thread_oid(self) -> str:
        """The same as ``oid``: threads share the queue of their process, and each may ask for any result."""
        return self.oid

    def reply_address(self) -> Address:
        """Where results of ``rpc://`` come in to this process: the broker, with the queue among its options.

        Raises:
            ImproperlyConfigured: It is not RabbitMQ.
        """
        return self.broker.reply_address(self.thread_oid)

    def configured_queues(self) -> list[str]:
        """The queues of ``task_queues``, or the default one: what a worker consumes."""
        return self.publishing.settings.queues.names

    def is_in_broker(self, task_id: str, queues: Iterable[str] = ()) -> bool:
        """Whether a message of this task waits, in its own queues or ``queues``, is leased, parked or dead."""
        from fastworker.app.known import is_in_broker

        return is_in_broker(self, task_id, queues)

    # -------------------------------------------------------------------------------------- results

    @property
    def backend(self) -> Backend:
        """Where results are; another object when the setting has changed."""
        version, made_of = self.conf.version, self._backend_made_of
        if self._backend is None or made_of is None or made_of[0] != version:
            from fastworker.results.connect import connect

            url, options = self.broker.result_url, self.broker.result_options
            if self._backend is None or made_of is None or made_of[1:] != (url, options):
                self.broker.prepare()
                self._backend = connect(self, url, options)
            self._backend_made_of = (version, url, options)
        return self._backend

    @cached_property
    def AsyncResult(self) -> Any:
        """Class of this application's results."""
        from fastworker.results.async_result import AsyncResult

        return type(
            "AsyncResult",
            (AsyncResult,),
            {"__slots__": (), "bound_app": self, "__module__": AsyncResult.__module__},
        )

    @cached_property
    def ResultSet(self) -> Any:
        """Class of sets of this application's results."""
        from fastworker.results.result_set import ResultSet

        return type(
            "ResultSet", (ResultSet,), {"bound_app": self, "__module__": ResultSet.__module__}
        )

    @cached_property
    def GroupResult(self) -> Any:
        """Class of this application's groups of results."""
        from fastworker.results.result_set import GroupResult

        return type(
            "GroupResult", (GroupResult,), {"bound_app": self, "__module__": GroupResult.__module__}
        )

    # -------------------------------------------------------------------------------- configuration

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Read settings from a module's name, an object or a mapping, at the first use of a
        setting.

        Args:
            silent: A source that cannot be imported counts as empty.
            force: Read now.
            namespace: Prefix of the names, such as ``"CELERY"``.
        """
        self.conf.use_source(self._loader(object_loader(obj, silent=silent)), namespace)
        if force:
            self.conf.get("broker_url")

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> bool:
        """``config_from_object`` of the module that an environment variable names; False when
        silently it is unset.
        """
        name = name_from_envvar(variable_name, silent=silent)
        if name is None:
            return False
        self.config_from_object(name, silent=silent, force=force)
        return True

    def config_from_cmdline(self, argv: Sequence[str], namespace: str = "celery") -> None:
        """Take settings from ``name=value`` arguments, such as ``worker.prefetch_multiplier=1``."""
        for argument in argv:
            name, _, value = argument.partition("=")
            self.conf[name.strip().replace(".", "_")] = _from_text(value.strip())

    def add_defaults(self, defaults: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Settings that count when nobody has set them; a mapping, or a function that returns
        one.
        """
        self.conf.add_defaults(defaults() if callable(defaults) else defaults)

    def _loader(self, load: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        def configure_and_load() -> Mapping[str, Any]:
            self.on_configure.send(sender=self)
            return load()

        return configure_and_load

    def _after_configure(self, conf: Settings) -> None:
        self.on_after_configure.send(sender=self, source=conf)

    @property
    def configured(self) -> bool:
        """The settings were read."""
        return self.conf.is_loaded

    @property
    def namespace(self) -> str | None:
        """Prefix of setting names in the source."""
        return self.conf.namespace

    @property
    def broker_url(self) -> str:
        """The broker in force."""
        return self.broker.read_url

    @property
    def broker_url_reason(self) -> str:
        """Why that broker, for people."""
        return self.broker.reason

    @property
    def result_url(self) -> str | None:
        """The result store in force; None: results are not stored."""
        return self.broker.result_url

    @property
    def results_kept_at(self) -> str | None:
        """Where results are, whoever stores them; None: nobody does."""
        return self.result_url

    def now(self) -> datetime:
        """The time in the application's timezone, aware; ahead of the real one where a test moved the clock."""
        now = datetime.now(timezone.utc)
        ahead_us = _core.clock_ahead_us()
        if ahead_us:
            now += timedelta(microseconds=ahead_us)
        return now.astimezone(self.timezone)

    @property
    def timezone(self) -> tzinfo:
        """The application's timezone."""
        known = self.__dict__.get("_timezone")
        if known is None or known[0] != self.conf.version:
            known = self.__dict__["_timezone"] = (self.conf.version, timezone_of(self.conf))
        zone: tzinfo = known[1]
        return zone

    def uses_utc_timezone(self) -> bool:
        """The timezone is UTC."""
        return self.timezone is timezone.utc

    def either(self, default_key: str, *defaults: Any) -> Any:
        """The first of ``defaults`` that is not None, else the setting."""
        return next((value for value in defaults if value is not None), self.conf.get(default_key))

    # -------------------------------------------------------------------------------------- current

    def set_current(self) -> None:
        """Make it the current application of this thread."""
        state.set_current_app(self)

    def set_default(self) -> None:
        """Make it the current application of every thread that has none of its own."""
        state.set_default_app(self)

    @property
    def current_task(self) -> Any:
        """The innermost task that runs here, or None."""
        return state.get_current_task()

    @property
    def chord_run(self) -> str:
        """A name for the run of a chord that begins here."""
        return runs.current()

    @property
    def current_worker_task(self) -> Any:
        """The task that a worker runs here, or None."""
        return state.get_current_worker_task()

    def start(self, argv: Sequence[str] | None = None) -> Any:
        """Run the command line with this application; ``argv`` without the program's name."""
        from importlib import import_module

        return import_module("fastworker.cli.main").run(
            self, sys.argv[1:] if argv is None else list(argv)
        )

    def worker_main(self, argv: Sequence[str] | None = None) -> Any:
        """Run a worker for this application; ``argv`` begins with ``worker``.

        Raises:
            ValueError: It does not.
        """
        arguments = sys.argv[1:] if argv is None else list(argv)
        if "worker" not in arguments:
            raise ValueError(
                "The worker sub-command must be specified in argv.\nUse app.start() to start other "
                "commands."
            )
        return self.start(arguments)

    def close(self) -> None:
        """Close its connections and forget it; for applications that do not live as long as their
        process.
        """
        if "publishing" in self.__dict__:
            self.publishing.close()
        if "control" in self.__dict__:
            self.control.mailbox.close()
        if self._backend is not None:
            self._backend.close()
        state.deregister_app(self)

    def __enter__(self) -> FastWorker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.main or '__main__'}:{id(self):#x}>"

    def __reduce__(self) -> tuple[Any, ...]:
        keywords = {"main": self.main, "changes": dict(self.conf.changes), "set_as_current": False}
        return _rebuild, (type(self), keywords)

    # -------------------------------------------------------------------------------------- not yet

    amqp = refused("amqp", "its parts: conf.task_queues, conf.task_routes")
    log = refused("log", "fastworker.utils.log.get_task_logger")
    loader = refused("loader", "config_from_object and import_task_modules")
    pool = refused("pool", "fastworker manages its connections")
    producer_pool = refused("producer_pool", "fastworker manages its connections")
    connection = refused("connection", "fastworker manages its connections")
    connection_for_read = refused("connection_for_read", "fastworker manages its connections")
    connection_for_write = refused("connection_for_write", "fastworker manages its connections")
    connection_or_acquire = refused("connection_or_acquire", "fastworker manages its connections")
    producer_or_acquire = refused("producer_or_acquire", "fastworker manages its connections")
    setup_security = refused("setup_security", "signed messages come in a later version")
    add_periodic_task = refused(
        "add_periodic_task", "the scheduler comes in a later version; run celery beat for now"
    )
    steps = refused("steps", "bootsteps are parts of Celery's worker")


def _after_fork() -> None:
    """In a forked child: tell the applications that want to know, as Celery's do."""
    for app in state.active_apps():
        if app.on_after_fork.has_receivers:
            app.on_after_fork.send(sender=app)


os.register_at_fork(after_in_child=_after_fork)


def _rebuild(cls: type[FastWorker], keywords: dict[str, Any]) -> FastWorker:
    return cls(**keywords)


def _from_text(value: str) -> Any:
    """A setting on a command line: Python's literals mean themselves, everything else is text."""
    import ast

    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(value.lower(), value)
