"""The observer pattern behind ``signals.py``; its rules are Celery's.

A receiver is held weakly unless ``weak=False``, is called with ``signal=``, ``sender=`` and the
signal's own keyword arguments, and must accept ``**kwargs``. What it raises is logged and does not
stop the sender.

``has_receivers`` is a plain attribute, so that a station on the hot path pays one attribute read
for a hook that nobody uses.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar, overload

logger = logging.getLogger(__name__)

Receiver = TypeVar("Receiver", bound=Callable[..., Any])

#: ``retry=True`` receivers: the first wait and the longest wait between two attempts, in seconds
#: (Celery's).
_RETRY_FIRST_S = 2.0
_RETRY_STEP_S = 2.0
_RETRY_MAX_S = 30.0


class Signal:
    """A list of receivers.

    Args:
        name: For logs and ``repr``.
        providing_args: The keyword arguments that ``send`` will be given; documentation only, as in
            Celery.
    """

    def __init__(self, name: str | None = None, providing_args: Iterable[str] = ()) -> None:
        self.name = name
        self.providing_args = set(providing_args)
        #: True while at least one receiver is connected. Dead weak receivers count until the next
        #: ``send``.
        self.has_receivers = False
        self._receivers: list[tuple[Hashable, Hashable, Any]] = []
        self._lock = threading.RLock()

    @property
    def receivers(self) -> list[tuple[Hashable, Hashable, Any]]:
        """The connected receivers: ``(key, key of the sender, receiver or weak reference)``."""
        return self._receivers

    @overload
    def connect(self, receiver: Receiver, /, *args: Any, **options: Any) -> Receiver: ...
    @overload
    def connect(self, **options: Any) -> Callable[[Receiver], Receiver]: ...
    def connect(self, *args: Any, **options: Any) -> Any:
        """Connect a receiver; plain call, ``@signal.connect`` or ``@signal.connect(sender=…)``.

        Args:
            sender: Only signals of this sender. None: of all. A task's name stands for the task
                when publishing.
            weak: Hold the receiver weakly (default), so that it goes away with its owner.
            dispatch_uid: Connect at most one receiver under this key.
            retry: Call the receiver again, with growing waits, until it does not raise; implies
                ``weak=False``.

        Raises:
            ValueError: The receiver does not accept ``**kwargs``.
        """
        if args and callable(args[0]):
            return self._connect(args[0], *args[1:], **options)

        def decorator(receiver: Receiver) -> Receiver:
            self._connect(receiver, *args, **options)
            return receiver

        return decorator

    def _connect(
        self,
        receiver: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
        retry: bool = False,
    ) -> Receiver:
        if not _accepts_kwargs(receiver):
            raise ValueError("Signal receiver must accept keyword arguments.")
        # A task that is still a promise would have to load the configuration to be identified: wait
        # until it is used.
        postpone = getattr(type(sender), "__then__", None)
        if postpone is not None:
            postpone(sender, lambda task: self._connect(receiver, task, weak, dispatch_uid, retry))
            return receiver
        key = dispatch_uid or _identity(receiver)
        entry: Any = receiver
        if retry:
            entry = _retrying(receiver)
        elif weak:
            bound = hasattr(receiver, "__self__") and hasattr(receiver, "__func__")
            entry = weakref.WeakMethod(receiver) if bound else weakref.ref(receiver)
        sender_key = _identity(sender)
        with self._lock:
            self._sweep()
            if not any(k == key and s == sender_key for k, s, _ in self._receivers):
                self._receivers = [*self._receivers, (key, sender_key, entry)]
            self.has_receivers = True
        return receiver

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: Any = None,
        weak: bool | None = None,
        dispatch_uid: Hashable | None = None,
    ) -> bool:
        """Disconnect a receiver, found by itself or by its ``dispatch_uid``; ``weak`` has no
        effect.

        Returns:
            True if it was connected.
        """
        key = dispatch_uid or _identity(receiver)
        sender_key = _identity(sender)
        with self._lock:
            self._sweep()
            kept = [e for e in self._receivers if not (e[0] == key and e[1] == sender_key)]
            was_connected = len(kept) < len(self._receivers)
            self._receivers = kept
            self.has_receivers = bool(kept)
        return was_connected

    def has_listeners(self, sender: Any = None) -> bool:
        """True if a signal of ``sender`` would reach somebody."""
        return bool(self._live(sender))

    def send(self, sender: Any, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver of ``sender``, in the order they connected.

        Returns:
            ``(receiver, what it returned)`` each; what it raised stands in place of the value, and
            is logged.
        """
        if not self.has_receivers:
            return []
        responses: list[tuple[Callable[..., Any], Any]] = []
        for receiver in self._live(sender):
            try:
                response = receiver(signal=self, sender=sender, **named)
            except Exception as exc:
                logger.exception("Signal handler %r raised: %r", receiver, exc)
                response = exc
            responses.append((receiver, response))
        return responses

    send_robust = send

    def _live(self, sender: Any) -> list[Callable[..., Any]]:
        sender_key = _identity(sender)
        live: list[Callable[..., Any]] = []
        has_dead = False
        for _, wanted, entry in self._receivers:
            if wanted is not None and wanted != sender_key:
                continue
            receiver = entry() if isinstance(entry, weakref.ReferenceType) else entry
            if receiver is None:
                has_dead = True
            else:
                live.append(receiver)
        if has_dead:
            with self._lock:
                self._sweep()
        return live

    def _sweep(self) -> None:
        alive = [
            e
            for e in self._receivers
            if not (isinstance(e[2], weakref.ReferenceType) and e[2]() is None)
        ]
        self._receivers = alive
        self.has_receivers = bool(alive)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={self.providing_args!r}>"


def _identity(target: Any) -> Hashable | None:
    """A key that survives weak references: text as itself, a bound method by its parts, all else by
    address.
    """
    if target is None:
        return None
    unwrap = getattr(type(target), "_get_current_object", None)
    if unwrap is not None:
        target = unwrap(target)
    if isinstance(target, str | bytes):
        return target
    if hasattr(target, "__func__"):
        return (id(getattr(target, "__self__", None)), id(target.__func__))
    return id(target)


def _accepts_kwargs(receiver: Callable[..., Any]) -> bool:
    """Reads the code flags first: ``inspect.signature`` would evaluate annotations on Python
    3.14.
    """
    code = getattr(receiver, "__code__", None)
    if code is not None:
        return bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(receiver).parameters.values())


def _retrying(receiver: Callable[..., Any]) -> Callable[..., Any]:
    def call_until_it_works(**named: Any) -> Any:
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                return receiver(**named)
            except Exception:
                logger.error(
                    "Could not process signal receiver %r. Retrying in %.0fs...", receiver, wait_s
                )
                time.sleep(wait_s)
                wait_s = min(wait_s + _RETRY_STEP_S, _RETRY_MAX_S)

    return call_until_it_works
