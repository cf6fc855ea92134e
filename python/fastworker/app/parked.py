"""``app.parked``: tasks whose eta is beyond ``worker_eta_horizon``. No worker holds them: the broker keeps them until
they are due.

They can be listed, cancelled and made due. There may be millions: they are walked page by page, and what acts on all of
them holds no more than a page.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: Messages that one round trip asks for. The broker reads each of them.
_PAGE = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class ParkedTask:
    """One parked message.

    Attributes:
        id: The task id.
        task: The task's name; None when it cannot be read.
        queue: Where it goes when it is due.
        eta: When that is, in UTC; the last moment that can be written for one that is beyond it.
        priority: 0 to 9, as it was published.
        handle: What the broker knows it by.
        is_member: It belongs to a group.
        ignores_result: What the message says; None leaves it to the task.
    """

    id: str
    task: str | None
    queue: str
    eta: datetime
    priority: int
    handle: str = field(repr=False)
    is_member: bool = field(repr=False)
    ignores_result: bool | None = field(repr=False)

    @property
    def cursor(self) -> str:
        """Its place, as text for a terminal: the handle may hold characters that none shows."""
        return base64.urlsafe_b64encode(self.handle.encode()).decode().rstrip("=")


class ParkedTasks:
    """The parked tasks of an application's broker; iterating gives all, those that are due first before others.

    Args:
        app: The application.
    """

    def __init__(self, app: FastWorker) -> None:
        self._app = app

    def count(self) -> int:
        """How many messages are parked, for all queues."""
        return self._app.publishing.publisher.parked_count()

    def __iter__(self) -> Iterator[ParkedTask]:
        return self.tasks()

    def tasks(
        self, *, queue: str | None = None, task: str | None = None, after: str | None = None
    ) -> Iterator[ParkedTask]:
        """Walk them in the order in which they are due. What is parked or leaves meanwhile disturbs nothing: what stays
        is given once.

        Args:
            queue: Only those of this queue.
            task: Only those of this task; ``*``, ``?`` and ``[…]`` as in file names.
            after: The ``cursor`` of one that was given before; None begins with the first.

        Raises:
            ImproperlyConfigured: ``after`` is no cursor.
            OperationalError: The broker cannot be reached.
        """
        place = None if after is None else _place(after)
        while True:
            page, place = self._app.publishing.publisher.parked_page(place, _PAGE)
            for found in page:
                parked = _read(found)
                is_meant = queue is None or parked.queue == queue
                if is_meant and (task is None or fnmatch.fnmatchcase(parked.task or "", task)):
                    yield parked
            if place is None:
                return

    def get(self, *ids: str) -> list[ParkedTask]:
        """Those with these task ids. A task that was published twice may be parked twice."""
        publisher = self._app.publishing.publisher
        return [
            _read(found)
            for some in _batches(dict.fromkeys(ids))
            for found in publisher.parked_of(some)
        ]

    def cancel(
        self,
        *which: str | ParkedTask,
        queue: str | None = None,
        task: str | None = None,
    ) -> int:
        """Take tasks out, so that they will not run, and store REVOKED for them: ``get()`` of their results raises
        ``TaskRevokedError``. Both are one step where broker and results are on one server. A state that is not waiting
        is left as it is, and tasks that ignore their result get none.

        No worker takes part, so ``task_revoked`` is not sent. But members of groups are revoked, and a worker ends them
        within seconds: a chord may wait for them.

        Args:
            which: Task ids, or what ``tasks`` gave.
            queue: In place of ids: all of this queue.
            task: In place of ids: all of this task, as for ``tasks``; both together mean both.

        Returns:
            How many messages. Those that were not parked any more are not counted, and run.

        Raises:
            TypeError: Both ids and a filter.
            OperationalError, BackendError: The broker, or the result store, cannot be reached; some may be done.
        """
        return self._act(which, queue, task, self._cancel)

    def revoked(self, *ids: str) -> None:
        """Tasks were revoked, and workers know it: those that are parked are taken out as by ``cancel``, and members of
        groups become due, for a worker to end them.

        Raises:
            OperationalError, BackendError: As ``cancel``.
        """
        self._act(ids, None, None, self._take_out)

    def release(
        self, *which: str | ParkedTask, queue: str | None = None, task: str | None = None
    ) -> int:
        """Make tasks due: they go to the front of their queues, without their eta.

        Args:
            which: Task ids, or what ``tasks`` gave.
            queue: In place of ids: all of this queue.
            task: In place of ids: all of this task, as for ``tasks``; both together mean both.

        Returns:
            How many messages; those that were due already are not counted.

        Raises:
            TypeError: Both ids and a filter.
            OperationalError: The broker cannot be reached; some may be done.
        """
        return self._act(which, queue, task, self._release)

    # ------------------------------------------------------------------------------------------------------ parts

    def _act(
        self,
        which: tuple[str | ParkedTask, ...],
        queue: str | None,
        task: str | None,
        act: Callable[[list[ParkedTask]], int],
    ) -> int:
        is_filtered = queue is not None or task is not None
        if is_filtered and which:
            raise TypeError("parked tasks are chosen by ids or by queue= and task=, not by both")
        found: Iterable[ParkedTask]
        if is_filtered:
            found = self.tasks(queue=queue, task=task)
        else:
            ids = [one for one in which if isinstance(one, str)]
            found = [one for one in which if isinstance(one, ParkedTask)] + self.get(*ids)
        return sum(act(batch) for batch in _batches(found))

    def _release(self, tasks: list[ParkedTask]) -> int:
        handles = [parked.handle for parked in tasks]
        return sum(self._app.publishing.publisher.release_parked(handles))

    def _cancel(self, tasks: list[ParkedTask]) -> int:
        members = [parked.id for parked in tasks if parked.is_member]
        if members:
            self._app.control.revoke(members)
        return len(members) + self._remove([parked for parked in tasks if not parked.is_member])

    def _take_out(self, tasks: list[ParkedTask]) -> int:
        members = [parked.handle for parked in tasks if parked.is_member]
        done = sum(self._app.publishing.publisher.hasten_parked(members)) if members else 0
        return done + self._remove([parked for parked in tasks if not parked.is_member])

    def _remove(self, tasks: list[ParkedTask]) -> int:
        app = self._app
        url, options = app.broker.result_url, app.broker.result_options
        done = 0
        while tasks:
            cancels = self._with_results(tasks, has_results=url is not None)
            answers = app.publishing.publisher.cancel_parked(cancels, url, options)
            done += answers.count("removed")
            # Somebody stored a state since: look at it, and try again.
            tasks = [
                parked
                for parked, answer in zip(tasks, answers, strict=True)
                if answer == "result changed"
            ]
        return done

    def _with_results(
        self, tasks: list[ParkedTask], has_results: bool
    ) -> list[tuple[str, bytes | None, tuple[str, bytes, int | None] | None]]:
        """For each its handle, the document that is stored now, and the one to store in its place."""
        wanted = [parked.id for parked in tasks if has_results and not self._ignores(parked)]
        if not wanted:
            return [(parked.handle, None, None) for parked in tasks]
        backend = self._app.backend
        stored = dict(zip(wanted, backend.store.get_many(wanted), strict=True))
        ttl_s = backend.ttl_s("REVOKED")
        cancels: list[tuple[str, bytes | None, tuple[str, bytes, int | None] | None]] = []
        for parked in tasks:
            seen = stored.get(parked.id)
            doc = backend.revoked_document(parked.id, seen) if parked.id in stored else None
            result = None if doc is None else (parked.id, doc, ttl_s)
            cancels.append((parked.handle, seen if result else None, result))
        return cancels

    def _ignores(self, parked: ParkedTask) -> bool:
        """Whether nothing is to be stored; as the worker decides it."""
        if not parked.id:
            return True
        task = self._app.tasks.get(parked.task or "")
        ignores = parked.ignores_result
        if ignores is None:
            ignores = bool(task is not None and task.ignore_result)
        return ignores and not (task is not None and task.store_errors_even_if_ignored)


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _PAGE)):
        yield batch


def _read(found: dict[str, Any]) -> ParkedTask:
    due_ms = found.pop("due_ms")
    try:
        eta = _EPOCH + timedelta(milliseconds=due_ms)
    except OverflowError:
        eta = datetime.max.replace(tzinfo=timezone.utc)
    return ParkedTask(eta=eta, **found)


def _place(cursor: str) -> str:
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        int(place.partition(":")[0])
    except (binascii.Error, ValueError) as exc:
        raise ImproperlyConfigured(
            f"{cursor!r} is no cursor of parked tasks: expected what an earlier list ended with"
        ) from exc
    return place
