"""``app.backend``: the Python face of a result store. Bytes move in Rust; documents are made and
read here.

A store is kept per thread: waiting for a result occupies its connection, and threads wait at the
same time. Greenlets share one, and wait by the watcher, as coroutines do.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from fastworker import _core, states
from fastworker.errors import DecodeError, EncodeError, TaskRevokedError
from fastworker.greenlets import at_work, cooperative
from fastworker.results.application import ResultApp
from fastworker.results.async_result import AsyncResult
from fastworker.results.cache import ResultCache
from fastworker.results.document import Meta, build, pending, revive
from fastworker.results.group_store import GroupStore
from fastworker.results.persistent import StoreRetries, persistent
from fastworker.results.remote_error import decode_exception, encode_exception
from fastworker.results.result_set import GroupResult
from fastworker.results.shared_news import SharedNews
from fastworker.results.watcher import ResultWatcher
from fastworker.serialize import compression, registry
from fastworker.serialize.picklable import picklable

#: Takes a document of the task that runs here (``(task id, state, document)``) and returns True, or
#: leaves it. A worker's child sets it, so that states travel over the link to its worker and need
#: no connection of their own.
Sink = Callable[[str, str, bytes], bool]
_sink: Sink | None = None

_DAY_S = 86_400
_PASSWORD = re.compile(r"(://[^:@/]*:)[^@/]*@")


class _Local(threading.local):
    """Set while what this thread stores is kept for somebody who stores it in one step with something else."""

    kept: list[tuple[str, str, bytes]] | None = None


_local = _Local()


@contextmanager
def collecting() -> Iterator[list[tuple[str, str, bytes]]]:
    """States that this thread stores in here are not stored, but kept in the list: task id, state, document."""
    kept: list[tuple[str, str, bytes]] = []
    before, _local.kept = _local.kept, kept
    try:
        yield kept
    finally:
        _local.kept = before


def set_sink(sink: Sink | None) -> None:
    """Offer documents to ``sink`` before they are stored from here; None: store all from here."""
    global _sink
    _sink = sink


@runtime_checkable
class Ending(Protocol):
    """A request that is told how it ends: one of a batch."""

    @property
    def has_ended(self) -> bool:
        """It was told."""

    def succeed(self, value: Any) -> None:
        """It has a result."""

    def fail(self, exc: BaseException) -> None:
        """It failed."""


@dataclass(frozen=True)
class Terms:
    """The settings that documents depend on, read once per change of the configuration; lifetimes in seconds."""

    version: int
    serializer: str
    compression: str | None
    accept: frozenset[str] | None
    ttl_s: int | None
    failure_ttl_s: int | None
    chord_ttl_s: int | None
    is_extended: bool


class Backend(GroupStore):
    """A result store.

    Args:
        app: Whose results; gives settings and the time.
        url: For ``_core.ResultStore``.
        options: Store options, as text.
    """

    READY_STATES = states.READY_STATES
    UNREADY_STATES = states.UNREADY_STATES
    EXCEPTION_STATES = states.EXCEPTION_STATES
    #: Documents go away by themselves.
    supports_autoexpire = True
    supports_native_join = True
    persistent = True
    #: The worker has to tell it how a call ended that no child saw to the end: it writes no documents.
    keeps_endings = False

    def __init__(self, app: ResultApp, url: str, options: Mapping[str, str]) -> None:
        self.app = app
        self.url = url
        self.options = dict(options)
        self._local = threading.local()
        #: What greenlets ask instead.
        self._shared: _core.ResultStore | None = None
        #: For coroutines and greenlets; its thread exists while one of them awaits a result.
        self.watcher = ResultWatcher(self._open_store)
        self._cache = ResultCache(app.conf.result_cache_max)
        self._terms: Terms | None = None

    @property
    def store(self) -> _core.ResultStore:
        """This thread's connection."""
        if at_work() is not None:
            if self._shared is None:
                self._shared = self._open_store()
            return self._shared
        try:
            found: _core.ResultStore = self._local.store
        except AttributeError:
            found = self._local.store = self._open_store()
        return found

    @property
    def shared_news(self) -> SharedNews:
        """For this thread's waits for many results."""
        store, found = self.store, getattr(self._local, "shared_news", None)
        if found is None or found.store is not store:
            found = self._local.shared_news = SharedNews(store)
        return found

    def _open_store(self) -> _core.ResultStore:
        store = cooperative(_core.ResultStore(self.url, self.options))
        return persistent(store, StoreRetries.of(self.app.conf))

    def as_uri(self, include_password: bool = False) -> str:
        """The store's URL, its password masked unless asked for."""
        return self.url if include_password else _PASSWORD.sub(r"\1**@", self.url)

    def expect_replies(self) -> None:
        """A task is going to be published whose result may be asked for. A store waits for nobody."""

    # -------------------------------------------------------------------------------------- reading

    def get_task_meta(self, task_id: str, cache: bool = True) -> Meta:
        """The document of a task, its exception revived; a PENDING one when there is none.

        Args:
            task_id: Which.
            cache: Those that ``result_cache_max`` has kept count too.
        """
        found = self.cached(task_id) if cache else None
        return self.decode(task_id, self.store.get(task_id)) if found is None else found

    def cached(self, task_id: str) -> Meta | None:
        """The document of a task that succeeded, if ``result_cache_max`` has it kept."""
        return self._cache.get(task_id)

    def is_cached(self, task_id: str) -> bool:
        """It is kept."""
        return self.cached(task_id) is not None

    def reload_task_result(self, task_id: str) -> None:
        """Ask for the document of a task anew, whatever is kept."""
        self.get_task_meta(task_id, cache=False)

    def get_many_meta(self, task_ids: Sequence[str]) -> list[Meta]:
        """``get_task_meta`` of many, in few round trips, in the order asked."""
        documents = self.store.get_many(task_ids)
        return [self.decode(task_id, doc) for task_id, doc in zip(task_ids, documents, strict=True)]

    def wait_for_change(self, task_id: str, seen: bytes | None, timeout_s: float) -> bytes | None:
        """Wait for a document that differs from ``seen``; None when the time is over."""
        if at_work() is None:
            return self.store.wait(task_id, seen, timeout_s)
        doc = self.store.get(task_id)
        if doc is not None and doc != seen:
            return doc
        return self.watcher.wait(task_id, seen, timeout_s)

    def decode(self, task_id: str, doc: bytes | None) -> Meta:
        """Read a document.

        Raises:
            ContentDisallowed: ``result_serializer`` is not in ``result_accept_content``.
            DecodeError: It is not a result document.
            SecurityError: It names something that is not an exception.
        """
        if doc is None:
            return pending(task_id)
        terms = self.terms
        chosen = registry.get(terms.serializer)
        plain = compression.decompress_result(doc)
        meta = registry.loads(plain, chosen.content_type, chosen.content_encoding, terms.accept)
        if not isinstance(meta, dict) or "status" not in meta:
            raise DecodeError(
                f"the stored result of task {task_id!r} is not a result document: {plain[:80]!r}"
            )
        meta.setdefault("result", None)
        meta = revive(meta)
        self._cache.keep(task_id, meta)
        return meta

    def get_state(self, task_id: str) -> str:
        """The state of a task."""
        return str(self.get_task_meta(task_id)["status"])

    get_status = get_state

    def get_result(self, task_id: str) -> Any:
        """What the task returned, or its exception."""
        return self.get_task_meta(task_id)["result"]

    def get_traceback(self, task_id: str) -> str | None:
        """The worker's traceback as text, None when there is none."""
        return self.get_task_meta(task_id).get("traceback")

    def get_children(self, task_id: str) -> Any:
        """The tuples of the tasks published from inside the task."""
        return self.get_task_meta(task_id).get("children")

    def task_result_exists(self, task_id: str) -> bool:
        """There is a document."""
        return self.store.get(task_id) is not None

    # -------------------------------------------------------------------------------------- writing

    def document(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
    ) -> bytes:
        """The document of a state, as bytes to store; exceptions are encoded.

        Raises:
            EncodeError: ``result`` has no form in ``result_serializer``.
        """
        terms = self.terms
        meta = build(
            task_id,
            self.encode_result(result, state),
            state,
            traceback=traceback,
            request=request,
            now=self.app.now(),
            is_extended=terms.is_extended,
        )
        _, _, doc = registry.dumps(meta, terms.serializer)
        return compression.compress_result(doc, terms.compression) if terms.compression else doc

    def encode_result(self, result: Any, state: str) -> Any:
        """``result`` as it goes into a document: exceptions as dicts, results as tuples; pickle
        takes both as such.
        """
        if state in states.EXCEPTION_STATES and isinstance(result, BaseException):
            if self.terms.serializer == "pickle":
                return picklable(result)
            return encode_exception(result, registry.get(self.terms.serializer).dumps)
        if isinstance(result, AsyncResult | GroupResult) and self.terms.serializer != "pickle":
            return result.as_tuple()
        return result

    def encode_part(self, task_id: str, state: str, result: Any) -> bytes:
        """How a member of a chord ended, as the chord keeps it: ``[1, task id, state, result]``.

        Raises:
            EncodeError: ``result`` has no form in ``result_serializer``.
        """
        part = [1, task_id, state, self.encode_result(result, state)]
        return registry.dumps(part, self.terms.serializer)[2]

    def decode_part(self, part: bytes) -> tuple[str, str, Any]:
        """The same, read: task id, state, and what it returned or its exception.

        Raises:
            DecodeError: It is no part.
        """
        terms = self.terms
        chosen = registry.get(terms.serializer)
        found = registry.loads(part, chosen.content_type, chosen.content_encoding, terms.accept)
        if not isinstance(found, list | tuple) or len(found) != 4:
            raise DecodeError(f"what is stored is not a part of a chord: {part[:80]!r}")
        _, task_id, state, result = found
        return (
            task_id,
            state,
            decode_exception(result) if state in states.EXCEPTION_STATES else result,
        )

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        """Store a state; a stored SUCCESS is never overwritten by something else.

        Returns:
            The result as it was encoded.

        Raises:
            EncodeError: As ``document``; nothing was stored.
        """
        try:
            doc = self.document(task_id, result, state, traceback, request)
        except EncodeError as exc:
            raise EncodeError(
                f"state {state!r} of task {task_id!r} cannot be stored: {exc}"
            ) from exc
        if _local.kept is not None:
            _local.kept.append((task_id, state, doc))
        elif _sink is None or not _sink(task_id, state, doc):
            self.store.store(task_id, doc, state == states.SUCCESS, self.ttl_s(state))
        return result

    def mark_as_started(self, task_id: str, **meta: Any) -> Any:
        """Store STARTED; ``meta`` is ``pid=`` and ``hostname=``."""
        return self.store_result(task_id, meta, states.STARTED)

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True
    ) -> None:
        """Store SUCCESS, unless the request ignores results. A call of a batch, whose request this is, ends with it."""
        if isinstance(request, Ending):
            if not request.has_ended:
                request.succeed(result)
            return
        if store_result and not getattr(request, "ignore_result", False):
            self.store_result(task_id, result, states.SUCCESS, request=request)

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
    ) -> None:
        """Store FAILURE. Errbacks and the rest of a chain are the tracer's to handle. A call of a batch, whose request
        this is, ends with it."""
        if isinstance(request, Ending):
            if not request.has_ended:
                request.fail(exc)
            return
        if store_result:
            self.store_result(task_id, exc, states.FAILURE, traceback, request)

    def mark_as_retry(
        self,
        task_id: str,
        exc: BaseException | None,
        traceback: str | None = None,
        request: Any = None,
    ) -> None:
        """Store RETRY with what caused it."""
        self.store_result(task_id, exc, states.RETRY, traceback, request)

    def mark_as_revoked(
        self, task_id: str, reason: str = "", request: Any = None, store_result: bool = True
    ) -> None:
        """Store REVOKED."""
        if store_result:
            self.store_result(task_id, TaskRevokedError(reason), states.REVOKED, request=request)

    def revoked_document(self, task_id: str, seen: bytes | None) -> bytes | None:
        """What is to be stored in the place of ``seen``, the stored document, when a task is revoked that nobody has
        started; None when it says that somebody has.
        """
        if self.decode(task_id, seen)["status"] not in states.WAITING_STATES:
            return None
        return self.document(task_id, TaskRevokedError("revoked"), states.REVOKED)

    def mark_waiting_as_revoked(self, task_id: str) -> bool:
        """Store REVOKED for a task that nobody has started, in one step with making sure of that.

        Returns:
            Whether it was stored.
        """
        while True:
            seen = self.store.get(task_id)
            doc = self.revoked_document(task_id, seen)
            if doc is None:
                return False
            if self.store.replace(task_id, seen, doc, False, self.ttl_s(states.REVOKED)):
                return True

    def forget(self, task_id: str) -> None:
        """Remove a document."""
        self.forget_many([task_id])

    def forget_many(self, task_ids: Sequence[str]) -> None:
        """Remove many."""
        for task_id in task_ids:
            self._cache.forget(task_id)
        self.store.forget(task_ids)

    def ensure_chords_allowed(self) -> None:
        """
        Raises:
            NotImplementedError: Without a result store the header's results cannot be counted.
        """

    def keep_ending(
        self, state: str, exc: BaseException, fields: Mapping[str, Any], stores: bool
    ) -> None:
        """Keep such an end, where ``keeps_endings``; see there."""
        raise NotImplementedError

    def process_cleanup(self) -> None:
        """Celery's hook after each task: nothing to do, connections are kept."""

    def close(self) -> None:
        """Close this thread's connection and those of coroutines and greenlets that nobody uses now; the next use
        opens another.
        """
        for store in (self._local.__dict__.get("store"), self._shared):
            if store is not None:
                store.close()
        self.watcher.close()

    # ---------------------------------------------------------------------------------------- terms

    def ttl_s(self, state: str) -> int | None:
        """Seconds that a document of ``state`` is kept; None keeps it for ever."""
        terms = self.terms
        return terms.failure_ttl_s if state == states.FAILURE else terms.ttl_s

    @property
    def chord_ttl_s(self) -> int | None:
        """Seconds that an unfinished chord is kept after its last part; None keeps it for ever."""
        return self.terms.chord_ttl_s

    @property
    def serializer(self) -> str:
        """``result_serializer``."""
        return self.terms.serializer

    @property
    def terms(self) -> Terms:
        """The settings in force."""
        conf = self.app.conf
        if self._terms is None or self._terms.version != conf.version:
            self._terms = _read_terms(conf)
        return self._terms


def _read_terms(conf: Any) -> Terms:
    version = conf.version
    accept = conf.result_accept_content
    ttl_s = _seconds(conf.result_expires)
    failure = conf.result_failure_expires
    return Terms(
        version=version,
        serializer=conf.result_serializer,
        compression=conf.result_compression,
        accept=registry.content_types(conf.accept_content if accept is None else accept),
        ttl_s=ttl_s,
        failure_ttl_s=ttl_s if failure is None else _seconds(failure),
        chord_ttl_s=_chord_seconds(conf.result_chord_expires, ttl_s),
        is_extended=bool(conf.result_extended),
    )


def _seconds(value: timedelta | float | None) -> int | None:
    """None and 0 keep for ever, as in Celery."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return int(seconds) if seconds else None


def _chord_seconds(value: timedelta | float | None, results_s: int | None) -> int | None:
    """Unset it is as long as results are kept, and a day at least: members may take longer than anybody wants to keep
    their results.
    """
    if value is not None:
        return _seconds(value)
    return None if results_s is None else max(results_s, _DAY_S)
