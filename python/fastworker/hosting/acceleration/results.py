"""Reading results from Redis in our way: Celery's backend asks our connection, and its results hear of what is stored
from it.

Promises, barriers, caches and decoding stay Celery's. There is no subscription before somebody waits, so publishing
needs none either: who waits subscribes first and looks then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from celery.backends.asynchronous import BaseResultConsumer
from celery.backends.redis import RedisBackend, ResultConsumer
from redis.exceptions import ConnectionError as RedisConnectionError

from fastworker import _core
from fastworker.errors import ImproperlyConfigured, OperationalError
from fastworker.greenlets import at_work
from fastworker.hosting.acceleration import untouched

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_log = logging.getLogger("fastworker.accelerate")
_JSON = "application/json"
#: Settings of a connection that ours does not follow.
_UNKNOWN_SETTINGS = ("redis_backend_use_ssl", "redis_backend_credential_provider")
_KNOWN_OPTIONS = frozenset(
    (
        "global_keyprefix",
        "result_chord_ordered",
        "retry_policy",
        "visibility_timeout",
        "socket_timeout",
    )
)
_READING = (
    "get",
    "mget",
    "on_task_call",
    "_get_key_for",
    "get_key_for_task",
    "decode_result",
    "decode",
)
_OWN = {name: getattr(RedisBackend, name) for name in _READING}
#: Put on the instance, and taken away by ``give_back``.
_REPLACED = ("get", "mget", "on_task_call", "decode")


def why_not(backend: RedisBackend, ours: Callable[[], FastWorker]) -> str | None:
    """Why results of this Redis backend are read as ever; None: they can be read in our way.

    Args:
        backend: Celery's.
        ours: Gives an application of ours with the same settings.
    """
    if at_work() is not None:
        return "greenlets share a thread, and our connections would block all of them"
    kind = type(backend)
    if kind.ResultConsumer is not ResultConsumer or any(
        getattr(kind, name) is not own for name, own in _OWN.items()
    ):
        return f"{kind.__module__}.{kind.__qualname__} reads in a way of its own"
    conf = backend.app.conf
    for name in _UNKNOWN_SETTINGS:
        if conf.get(name):
            return f"the setting {name} is set"
    unknown = sorted(set(conf.result_backend_transport_options or {}) - _KNOWN_OPTIONS)
    if unknown:
        return f"fastworker's client does not know the transport option {unknown[0]}"
    for name in ("decode_responses", "credential_provider"):
        if backend.connparams.get(name):
            return f"the URL says {name}"
    try:
        _core.ResultStore(*_address(ours()))
    except ImproperlyConfigured as exc:
        return str(exc)
    return None


def take_over(backend: RedisBackend, ours: FastWorker) -> None:
    """From now on the backend reads in our way; ``why_not`` has said nothing against it."""
    reading = Reading(backend, *_address(ours))
    backend.get, backend.mget, backend.decode = reading.get, reading.mget, reading.decode
    backend.on_task_call = _Untold()
    backend.result_consumer = StoreConsumer(reading, backend)


def give_back(backend: RedisBackend) -> None:
    """It reads as ever. Whoever waits goes on to wait with what he has."""
    if not isinstance(vars(backend).get("on_task_call"), _Untold):
        return
    for name in _REPLACED:
        delattr(backend, name)
    backend.result_consumer = ResultConsumer(
        backend, backend.app, backend.accept, backend._pending_results, backend._pending_messages
    )


def _address(ours: FastWorker) -> tuple[str, dict[str, str]]:
    url = ours.broker.result_url
    if url is None:
        raise ImproperlyConfigured("results are not stored")
    return url, ours.broker.result_options


class _Untold:
    """In the place of ``on_task_call``: the backend need not be told."""

    is_needed = False

    def __call__(self, _producer: Any, _task_id: str) -> None:
        """Nothing."""


class Reading:
    """Our connection to the store of one backend: of one thread, or of all where the backend may be shared.

    Args:
        backend: Celery's.
        url: For ``_core.ResultStore``.
        options: The same.
    """

    def __init__(self, backend: RedisBackend, url: str, options: dict[str, str]) -> None:
        self._backend = backend
        self._address = url, options
        self._prefix: bytes = backend.task_keyprefix
        self._is_json = backend.content_type == _JSON and (
            backend.accept is None or _JSON in backend.accept
        )
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Let go of the connections: this is another process."""
        self._asking: _core.ResultStore | None = None
        self._listening: _core.ResultStore | None = None
        #: Held by the thread that listens.
        self.draining = threading.Lock()
        #: Another one in each process.
        self.epoch = object()

    @property
    def asking(self) -> _core.ResultStore:
        """For questions."""
        if self._asking is None:
            self._asking = _core.ResultStore(*self._address)
        return self._asking

    @property
    def listening(self) -> _core.ResultStore:
        """For waiting: it may be occupied for a while."""
        if self._listening is None:
            self._listening = _core.ResultStore(*self._address)
        return self._listening

    def get(self, key: bytes) -> Any:
        """As the backend's, of the document of a task; of other keys it is the backend's."""
        task_id = self._task_of(key)
        if task_id is None:
            return _OWN["get"](self._backend, key)
        return _asked(lambda: self.asking.get(task_id))

    def mget(self, keys: Iterable[bytes]) -> Any:
        """The same for many."""
        keys = list(keys)
        task_ids = [self._task_of(key) for key in keys]
        if None in task_ids:
            return _OWN["mget"](self._backend, keys)
        return _asked(lambda: self.asking.get_many(task_ids))  # type: ignore[arg-type]

    def decode(self, payload: Any) -> Any:
        """As the backend's. What is not plainly JSON is the backend's to read, or to refuse."""
        if (
            self._is_json
            and type(payload) is bytes
            and payload[:1] == b"{"
            and untouched.reads_own_json()
        ):
            try:
                return _core.loads(payload)
            except ValueError:
                pass  # in its own words
        return _OWN["decode"](self._backend, payload)

    def _task_of(self, key: bytes | str) -> str | None:
        data = key.encode() if isinstance(key, str) else bytes(key)
        if not data.startswith(self._prefix):
            return None
        try:
            return data[len(self._prefix) :].decode()
        except UnicodeDecodeError:
            return None


def _asked(ask: Callable[[], Any]) -> Any:
    """What ``ask`` returns; that the server is away, Celery is told in the words that it knows."""
    try:
        return ask()
    except OperationalError as exc:
        raise RedisConnectionError(str(exc)) from exc


def _without_pauses(function: FunctionType) -> Callable[..., Any]:
    """Celery's ``function`` without the ``sleep(0)`` that lets other greenlets run. There are none here, and on a busy
    machine it costs more than all the rest that is done for a result.
    """
    meaning = {**function.__globals__, "sleep": lambda _seconds: None}
    return FunctionType(function.__code__, meaning, function.__name__, function.__defaults__)


_tell = _without_pauses(BaseResultConsumer.on_state_change)


class StoreConsumer(ResultConsumer):  # type: ignore[misc]  # Celery has no types
    """In the place of a backend's ``result_consumer``: hears of results from our connection.

    Args:
        reading: The connection.
        backend: Celery's.
    """

    def __init__(self, reading: Reading, backend: RedisBackend) -> None:
        super().__init__(
            backend,
            backend.app,
            backend.accept,
            backend._pending_results,
            backend._pending_messages,
        )
        self._reading = reading
        #: Tasks that somebody waits for, and of those the ones that the connection watches.
        self._wanted: set[str] = set()
        self._watched: set[str] = set()
        #: Tasks of which either may have changed. Appended to from anywhere, also while the garbage collector runs.
        self._changed: deque[str] = deque()
        self._epoch = reading.epoch
        self._is_away = False

    def on_state_change(self, meta: dict[str, Any], message: Any) -> None:
        """Tell who waits, and wait no longer for what has ended."""
        _tell(self, meta, message)
        self._maybe_cancel_ready_task(meta)

    def start(self, initial_task_id: str, **_: Any) -> None:
        """Begin with a task."""
        self.consume_from(initial_task_id)

    def stop(self) -> None:
        """Hear nothing any more."""
        self._reading.listening.close()

    def consume_from(self, task_id: Any) -> None:
        """Somebody waits for the task, or will."""
        task_id = str(task_id)
        if task_id not in self._wanted:
            self._wanted.add(task_id)
            self._changed.append(task_id)

    def cancel_for(self, task_id: Any) -> None:
        """Nobody waits for it any more, if anybody did."""
        task_id = str(task_id)
        if task_id in self._wanted:
            self._wanted.discard(task_id)
            self._changed.append(task_id)

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for something that was stored, and tell who waits for it.

        Args:
            timeout: Seconds. None: some.
        """
        wait_s = 1.0 if timeout is None else timeout
        # Of threads that share a backend one waits, and tells the others.
        draining = self._reading.draining
        if not draining.acquire(timeout=wait_s):
            return
        try:
            news = self._news(wait_s)
        except OperationalError as exc:
            # The caller waits on, until his time is over. When the server is back, all is looked at again.
            self._tell_away(exc)
            time.sleep(wait_s)
            return
        finally:
            draining.release()
        self._tell_away(None)
        for meta in map(self.backend.decode_result, news):
            self.on_state_change(meta, None)

    def _news(self, wait_s: float) -> list[bytes]:
        store = self._reading.listening
        fresh, gone = self._changes()
        if gone:
            store.unwatch(gone)
        if fresh:
            store.watch(fresh)
        if not self._watched:
            time.sleep(wait_s)
            return []
        return [document for _, document in store.news(wait_s)]

    def _tell_away(self, exc: OperationalError | None) -> None:
        """Once when it begins, and once when it ends."""
        if exc is not None and not self._is_away:
            _log.warning("waiting for results: %s; trying again", exc)
        elif exc is None and self._is_away:
            _log.info("waiting for results: the server is back")
        self._is_away = exc is not None

    def _changes(self) -> tuple[list[str], list[str]]:
        """What to watch from now on, and what no longer."""
        fresh, gone = [], []
        if self._epoch is not self._reading.epoch:
            # This process has watched nothing yet.
            self._epoch = self._reading.epoch
            self._watched.clear()
            self._changed.extend(self._wanted)
        while self._changed:
            task_id = self._changed.popleft()
            if task_id in self._wanted:
                if task_id not in self._watched:
                    self._watched.add(task_id)
                    fresh.append(task_id)
            elif task_id in self._watched:
                self._watched.discard(task_id)
                gone.append(task_id)
        return fresh, gone


_all: weakref.WeakSet[Reading] = weakref.WeakSet()


def _after_fork() -> None:
    for reading in list(_all):
        reading.forget()


os.register_at_fork(after_in_child=_after_fork)
