"""The outbox of one workflow: calls of single tasks, packed as they come and handed over many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.arguments import encode_error
from fastworker.app.calling import describe
from fastworker.app.deliver import Announcement, aannounce, adeliver, announce, deliver
from fastworker.app.link import Envelope
from fastworker.app.publish import BATCH, Parcel, pack
from fastworker.app.queue_room import (
    QueueRoom,
    adeliver_in_portions,
    bound_of,
    deliver_in_portions,
)
from fastworker.app.state import get_current_worker_task
from fastworker.app.task import Task
from fastworker.canvas.calls import Member
from fastworker.canvas.copying import plain
from fastworker.canvas.signature import Signature
from fastworker.serialize.exclusive import marked, written

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_Policy = Mapping[str, Any] | None


class Outbox:
    """Calls whose messages are published together.

    What cannot be packed raises where it is added; what had not filled a batch by then is never published.

    Args:
        app: Whose connection.
    """

    def __init__(self, app: FastWorker) -> None:
        self._app = app
        #: In the order in which they came: parcels, and envelopes of members.
        self._waiting: list[Parcel | Envelope] = []
        self._is_awaited = False
        parent = get_current_worker_task()
        self._root_id = None if parent is None else parent.request.root_id or parent.request.id
        self._parent_id = None if parent is None else parent.request.id
        #: In the queues, for streams; None: however long those are.
        self.room: QueueRoom | None = None
        #: The body of the chord that was serialised last, and its bytes: all members carry the same.
        self._chord: Any = None
        self._embed: bytes | None = None
        #: Only workers of ours understand them.
        self._is_exclusive = False

    def add(self, sig: Signature, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Any:
        """Take a call; returns its result.

        A task or a signature that publishes in a way of its own does so at once, after what waits here.

        Raises:
            TypeError, ValueError, EncodeError, QueueNotFound: As ``Task.apply_async``.
        """
        said = {key: value for key, value in options.items() if value is not None}
        if type(sig).apply_async is not Signature.apply_async:
            self.flush()
            return sig.apply_async(args, kwargs, **said)
        merged_args, merged_kwargs, merged = sig._merge(args, kwargs, said)
        try:
            task = sig.type
        except KeyError:  # another application's task, known by its name only
            parcel = pack(self._app, sig.task, merged_args, merged_kwargs, **merged)
        else:
            if not self._may_pack(task):
                self.flush()
                return task.apply_async(merged_args, merged_kwargs, **merged)
            args, kwargs, whole = describe(task, merged_args, merged_kwargs, merged)
            parcel = pack(self._app, task.name, args, kwargs, **whole)
        self.take(parcel)
        return parcel.result

    def add_member(self, member: Member) -> Any:
        """Take a group's member by the short cut; returns its result. None: there is no short cut for it.

        Raises:
            TypeError, EncodeError: As ``Task.apply_async``.
        """
        sig = member.sig
        try:
            task = sig.type
        except KeyError:
            return None
        if not self._may_pack(task):
            return None
        lane = task.lane()
        frozen = sig["options"]
        if lane is None or frozen.get("reply_to", lane.reply_to) != lane.reply_to:
            return None
        args, kwargs, _ = sig._merge(member.args, member.kwargs)
        if not isinstance(args, list | tuple):
            return None
        if task.typing:
            task.check_arguments(args, kwargs)
        try:
            task_id, envelope = lane.plan.member(
                args,
                kwargs,
                frozen.get("task_id") or member.task_id,
                member.root_id or self._root_id,
                member.parent_id or self._parent_id,
                member.group_id,
                member.position,
                self._embedded(member.chord),
            )
        except (TypeError, ValueError) as exc:
            raise encode_error(task.name, "json", args, kwargs, exc, _core.dumps) from exc
        if member.chord is not None and self._is_exclusive:
            queue, priority, written_as = envelope
            envelope = queue, priority, marked(written_as, task.name)
        self.take(envelope)
        return lane.result(task_id)

    def _may_pack(self, task: Any) -> bool:
        """It is published as any other: not run here, not through another application, and neither its class nor
        somebody who patched it has changed how it is published.
        """
        if task.bound_app() is not self._app or self._app.publishing.settings.is_eager:
            return False
        own = getattr(task.__class__, "apply_async", None)
        return own is Task.apply_async and "apply_async" not in task.__dict__

    def _embedded(self, chord: Any) -> bytes | None:
        if chord is None:
            return None
        if chord is not self._chord:
            embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": plain(chord)}
            before = written()
            self._chord, self._embed = chord, _core.dumps(embed)
            self._is_exclusive = written() != before
        return self._embed

    def take(self, packed: Parcel | Envelope, is_awaited: bool = False) -> None:
        """Take what is packed already.

        Args:
            packed: A call, or the message of one.
            is_awaited: ``arelieve`` follows, so nothing is published here.
        """
        self._is_awaited |= is_awaited
        self._waiting.append(packed)
        if len(self._waiting) >= BATCH and not self._is_awaited:
            self.flush()

    def bound(self, max_queue_length: int | None) -> None:
        """Wait, with what is published from now on, while its queue is as long as that. None: as
        ``task_stream_max_queue_length`` says; 0: never.

        Raises:
            ValueError: It is no such number.
        """
        self.room = QueueRoom(self._app, bound_of(self._app, max_queue_length))

    def flush(self) -> None:
        """Publish what waits.

        Raises:
            OperationalError: Not confirmed; some may have been published.
        """
        waiting, self._waiting = self._waiting, []
        for policy, some in self._runs(waiting):
            envelopes = _envelopes(some)
            if self.room is None:
                deliver(self._app, envelopes, policy)
            else:
                deliver_in_portions(self._app, self.room, envelopes, policy)
            for announcement in _announcements(some):
                announce(self._app, announcement, policy)
            _tell(some)

    async def aflush(self) -> None:
        """``flush`` for a coroutine."""
        waiting, self._waiting = self._waiting, []
        for policy, some in self._runs(waiting):
            envelopes = _envelopes(some)
            if self.room is None:
                await adeliver(self._app, envelopes, policy)
            else:
                await adeliver_in_portions(self._app, self.room, envelopes, policy)
            for announcement in _announcements(some):
                await aannounce(self._app, announcement, policy)
            _tell(some)

    async def arelieve(self) -> None:
        """``aflush``, when a batch is full."""
        self._is_awaited = True
        if len(self._waiting) >= BATCH:
            await self.aflush()

    def _runs(
        self, waiting: list[Parcel | Envelope]
    ) -> Iterator[tuple[_Policy, list[Parcel | Envelope]]]:
        """What waits, in runs that share a retry policy."""
        settings = self._app.publishing.settings
        usual = settings.retry_policy if settings.retry else None

        def policy_of(packed: Parcel | Envelope) -> _Policy:
            return packed.retry_policy if isinstance(packed, Parcel) else usual

        for policy, some in groupby(waiting, policy_of):
            yield policy, list(some)


def _envelopes(packed: list[Parcel | Envelope]) -> list[Envelope]:
    found: list[Envelope] = []
    for one in packed:
        if isinstance(one, Parcel):
            found.extend(one.envelopes)
        else:
            found.append(one)
    return found


def _announcements(packed: list[Parcel | Envelope]) -> Iterator[Announcement]:
    for one in packed:
        if isinstance(one, Parcel) and one.announcement is not None:
            yield one.announcement


def _tell(packed: list[Parcel | Envelope]) -> None:
    for one in packed:
        if isinstance(one, Parcel):
            one.delivered()
