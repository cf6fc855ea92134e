"""``rpc://``: results are messages that workers send to the client that asked, over RabbitMQ.

They come to a queue of this process, and all its threads, coroutines and greenlets ask at one desk (``replies.rs``). So
a state is known to the process that published, and to no other; whoever asks elsewhere finds PENDING. What Celery's
backend of this name refuses is refused: chords, and groups that are saved. Source: celery/backends/rpc.py.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any, NoReturn

from fastworker import _core
from fastworker.greenlets import cooperative
from fastworker.results.application import ResultApp
from fastworker.results.backend import Backend, Terms

URL = "rpc://"
_NO_CHORDS = (
    'The "rpc" result backend does not support chords, nor a group that another task follows, which '
    "is one: nobody counts its members. Name a result backend that keeps results, for example "
    'result_backend="redis://localhost:6379/1".'
)
_NO_GROUPS = (
    '{0} is not supported by the "rpc" result backend: it keeps nothing for others. Keep the '
    "GroupResult itself, or name another result_backend, for example "
    '"redis://localhost:6379/1".'
)


class RpcBackend(Backend):
    """Results as messages.

    Args:
        app: Whose results; knows where they come in.
        options: As of every backend.
    """

    #: Nobody else can look.
    persistent = False

    def __init__(self, app: ResultApp, options: dict[str, str]) -> None:
        super().__init__(app, URL, options)
        self._pid = os.getpid()
        #: The process, and what keeps its desk: with the last handle its connection goes, and the queue with that.
        self._expecting: tuple[int, _core.ResultStore] | None = None

    @property
    def store(self) -> _core.ResultStore:
        """This thread's way to the replies. In a forked child another than the parent's: the queue is the parent's."""
        if self._pid != os.getpid():
            self._pid, self._local, self._shared = os.getpid(), threading.local(), None
        return super().store

    def _open_store(self) -> _core.ResultStore:
        return cooperative(_core.ResultStore(*self.app.reply_address()))

    def expect_replies(self) -> None:
        """Make sure that there is a queue which they come to; once in a process.

        Raises:
            ImproperlyConfigured: The broker is not RabbitMQ.
            OperationalError: It does not answer.
        """
        pid = os.getpid()
        if self._expecting is None or self._expecting[0] != pid:
            store = self.store
            store.prepare()
            self._expecting = pid, store

    def close(self) -> None:
        """As of every backend; replies that are under way are lost."""
        super().close()
        if self._expecting is not None:
            self._expecting[1].close()
            self._expecting = None

    @property
    def terms(self) -> Terms:
        """The settings in force; ``result_compression`` is not for messages, as in Celery."""
        terms = super().terms
        return terms if terms.compression is None else replace(terms, compression=None)

    def mark_waiting_as_revoked(self, task_id: str) -> bool:
        """The worker that gets the message says so."""
        return False

    def store_steps(self, behind: Any, steps: list[Any], last_id: str | None) -> Any:
        """They stay in the message."""
        return behind + steps

    def ensure_chords_allowed(self) -> None:
        """
        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_NO_CHORDS)

    def begin_chord(self, *args: Any, **kwargs: Any) -> NoReturn:
        """
        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_NO_CHORDS)

    set_chord_size = add_to_chord = begin_chord

    def save_group(self, *args: Any, **kwargs: Any) -> NoReturn:
        """
        Raises:
            NotImplementedError: Always, like the next two.
        """
        raise NotImplementedError(_NO_GROUPS.format("save_group"))

    def restore_group(self, *args: Any, **kwargs: Any) -> NoReturn:
        """See ``save_group``."""
        raise NotImplementedError(_NO_GROUPS.format("restore_group"))

    def delete_group(self, *args: Any, **kwargs: Any) -> NoReturn:
        """See ``save_group``."""
        raise NotImplementedError(_NO_GROUPS.format("delete_group"))
