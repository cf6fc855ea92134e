"""Chords in the parent: members whose end no child reports, and chords whose members have all ended.

What follows from a chord (the body's messages, or its failure) is made here, on the main thread, and handed to the
worker, which publishes, stores and forgets the chord in one step. Whoever dies before that step leaves the join to
another worker, which makes everything anew. So nothing is published or stored from here, and only new-style errbacks,
which are called, may be called twice. Source: celery-contract 6.4, 9.8, 9.9; decision 0012.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker._core import loads
from fastworker.app import runs
from fastworker.app.chord_failure import fail_body
from fastworker.app.context import Context
from fastworker.app.einfo import ExceptionInfo
from fastworker.app.link import Envelope, collecting
from fastworker.canvas.chord_errors import (
    DEFAULT,
    STAMP,
    Policy,
    borne_early,
    judge,
    outcomes,
    policy_of,
    tasks_of,
)
from fastworker.canvas.signature import maybe_signature
from fastworker.child.decode import accepts_json, decode_call
from fastworker.child.members import Part, ends, ends_of_body, part_of_failure, read_record
from fastworker.child.request import request_fields
from fastworker.errors import (
    BackendError,
    ChordError,
    EncodeError,
    InvalidTaskError,
    KombuError,
    NotRegistered,
    OperationalError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from fastworker.results.backend import collecting as collecting_states
from fastworker.results.joining import allow_join_result
from fastworker.results.member_failure import MemberFailure
from fastworker.results.references import ResultsReference
from fastworker.signals import after_task_publish, before_task_publish
from fastworker.worker.following import Following, following

if TYPE_CHECKING:
    from fastworker._core import Call, Join, Member
    from fastworker.app.app import FastWorker

logger = logging.getLogger("fastworker.worker")

#: So many bytes of parts, and more, a message refers to, where it may.
_LARGE = 32 * 1024
#: Where chords are kept for ever, so long is the end of one remembered that ended before its members did.
_LONG_S = 30 * 86_400
_DELETED = (
    "the parts of its header are gone from the result store; somebody deleted them, or the server evicts keys: see its "
    "maxmemory-policy"
)


class Chords:
    """The chords of one worker.

    Args:
        app: Its application.
        node: Its name.
    """

    def __init__(self, app: FastWorker, node: str) -> None:
        self._app = app
        self._node = node

    # ------------------------------------------------------------------------------------------------ members

    def member_ended(
        self, fate: str, number: float, text: str | None, call: Call, member: Member
    ) -> None:
        """A member of a group ended, and no child says how: if its group is a chord's header, it counts.

        Args:
            fate: ``expired``, ``revoked``, ``unknown``, ``time_limit``, ``worker_lost``, ``refused`` or ``cannot_run``.
            number: Of ``revoked`` the signal that ended it, or 0; of ``time_limit`` seconds.
            text: What the stored error says, of the last three.
            call: The member.
            member: Is told.
        """
        state, exc = as_celery_says(fate, number, text, call)
        try:
            args, kwargs, embed = decode_call(call, self._app, accepts_json(self._app))
        except Exception as unreadable:
            # Which chord it would be in nobody can tell.
            logger.debug("task %s[%s] cannot be read: %r", call.task, call.id, unreadable)
            return
        if not embed:
            return
        request = Context(request_fields(call, args, kwargs, embed, self._node))
        try:
            member.count(ends(self._app, request, embed, state, exc))
        except Exception:
            logger.critical(
                "Task %s[%s]: no chord counts its end", call.task, call.id, exc_info=True
            )

    # -------------------------------------------------------------------------------------------------- joins

    def join(
        self,
        group_id: str,
        record: bytes,
        parts: Sequence[bytes],
        group: bytes | None,
        run: str | None,
        stands_for: str | None,
        join: Join,
    ) -> None:
        """All members of a chord have ended: publish its body with their results, or fail it.

        Args:
            group_id: The chord.
            record: Of the member that ended last.
            parts: How they ended, in the order of the header.
            group: The document of the group, if its members are groups themselves.
            run: The name of its run, if it has one: what the body begins is a part of it.
            stands_for: All succeeded, and there is much of it: the worker puts the list of results into plain messages
                in the place of this text.
            join: Is told.
        """
        app = self._app
        remembered_s: int | None = None
        kept_s: int | None = None
        try:
            known = read_record(app, record)
        except Exception:
            # It would be no more readable to another worker of this application.
            logger.critical("Chord %r: its body cannot be read", group_id, exc_info=True)
            join.finish([], [], [])
            return
        policy = policy_of(known["body"])
        ahead = following(known["body"], len(parts))
        with (
            runs.following(run or known.get("message")),
            collecting(app.broker.write_address) as messages,
            collecting_states() as kept,
        ):
            others: list[Part] = []
            try:
                if self._refers(ahead, parts, group):
                    if stands_for is None:
                        self._results(group_id, parts, group, policy)  # whether it may run at all
                    kept_s = self._publish_reference(known, ahead, parts, join)
                if kept_s is None:
                    messages.clear()
                    kept.clear()
                    if stands_for is not None and not ahead.is_last:
                        self._publish(known, ahead, stands_for)
                    if not messages or not all(map(_is_plain, messages)):
                        messages.clear()
                        kept.clear()
                        self._publish(known, ahead, self._results(group_id, parts, group, policy))
            except Exception as exc:
                messages.clear()
                kept.clear()
                kept_s = None
                error = _error_of(group_id, exc, ahead)
                logger.error("Chord %r raised: %r", group_id, error)
                try:
                    others = self._fail(known, ahead, error)
                except Exception:
                    logger.critical("Chord %r: its failure is only stored", group_id, exc_info=True)
                    messages.clear()
                    kept.clear()
                    self._store_failure(ahead.body, error)
                if borne_early(policy) is not None:
                    # Members may still end, long after the chord did.
                    remembered_s = app.backend.chord_ttl_s or _LONG_S
                    self._revoke_rest(group_id)
        results = [
            (task_id, doc, state == states.SUCCESS, app.backend.ttl_s(state))
            for task_id, state, doc in kept
        ]
        join.finish(messages, results, others, remembered_s, kept_s)

    def _results(
        self, group_id: str, parts: Sequence[bytes], group: bytes | None, policy: Policy
    ) -> list[Any]:
        """What the members returned, or what stands for it where they failed and the chord bears that.

        Raises:
            ChordError: More of them failed, or were revoked, than it bears.
        """
        backend = self._app.backend
        result = None if group is None else backend.decode_group(group_id, group)
        if result is not None and policy == DEFAULT:
            # Of every member there may be a part, and what is stored may be older: a Celery worker that has published a
            # task's next attempt stores its RETRY, however that attempt has ended meanwhile.
            ended = (backend.decode_part(part) for part in parts)
            known = {task_id: value for task_id, state, value in ended if state == states.SUCCESS}
            if not all(task_id in known for task_id in tasks_of(result)):
                return self._joined(result)
            joined: list[Any] = outcomes(result, known)
            return joined
        if not parts:
            raise ChordError(_DELETED)
        returned: dict[tuple[int, str], Any] = {}
        failures: list[MemberFailure] = []
        for place, part in enumerate(parts):
            task_id, state, value = backend.decode_part(part)
            if state in states.PROPAGATE_STATES:
                value = MemberFailure(task_id, state, value)
                failures.append(value)
            returned[place, task_id] = value
        judge(failures, policy)
        if result is None:
            return list(returned.values())
        values: list[Any] = outcomes(result, {task_id: it for (_, task_id), it in returned.items()})
        return values

    def _joined(self, result: Any) -> list[Any]:
        """The results of members that are groups themselves, from the store."""
        timeout_s = self._app.conf.result_chord_join_timeout
        try:
            with allow_join_result():
                return list(result.get(timeout=timeout_s, propagate=True))
        except Exception as exc:
            raise ChordError(f"Join error: {exc!r}") from exc

    def _revoke_rest(self, group_id: str) -> None:
        """What has not begun of a chord that has ended need not run; what runs goes on, and counts for nothing."""
        try:
            self._app.control.revoke_by_stamped_headers({STAMP: group_id})
        except (BackendError, KombuError) as exc:
            logger.warning("Chord %r: the rest of its members is not revoked: %s", group_id, exc)

    def _refers(self, ahead: Following, parts: Sequence[bytes], group: bytes | None) -> bool:
        """Whether the body gets a reference to the results."""
        return (
            bool(self._app.conf.task_by_reference)
            and group is None
            and not ahead.is_last
            and not ahead.body.get("immutable")
            and sum(map(len, parts)) > _LARGE
        )

    def _publish_reference(
        self,
        record: Mapping[str, Any],
        ahead: Following,
        parts: Sequence[bytes],
        join: Join,
    ) -> int | None:
        """Publish a body that gets a reference.

        Returns:
            Seconds that the parts are to be kept for it; None: its serializer has no form for a reference.
        """
        try:
            self._publish(record, ahead, ResultsReference(join.kept_name, len(parts)))
        except EncodeError:
            return None
        return self._app.backend.chord_ttl_s or _LONG_S

    def _publish(
        self,
        record: Mapping[str, Any],
        ahead: Following,
        results: list[Any] | str | ResultsReference,
    ) -> None:
        body = maybe_signature(ahead.body, app=self._app)
        options = {**body.options, **ahead.options()}
        inherited = {"parent_id": record["id"], "root_id": record["root_id"]}
        if self._app.conf.task_inherit_parent_priority:
            inherited["priority"] = record["priority"]
        inherited = {name: it for name, it in inherited.items() if options.get(name) is None}
        value = results[0] if ahead.is_last and isinstance(results, list) else results
        body.apply_async((value,), **inherited, **ahead.options())

    def _fail(self, record: Mapping[str, Any], ahead: Following, error: ChordError) -> list[Part]:
        """The body will not run: states and errbacks; returns what it means for chords around this one."""
        body = ahead.body
        if ahead.above is not None and ahead.group_id is not None:
            # Nobody waits for what folds a block, but for the block above.
            place = ahead.group_id, ahead.place
            return [part_of_failure(self._app, place, ahead.above, record, error)]
        try:
            raise error
        except ChordError:
            einfo = ExceptionInfo(error)
        fail_body(self._app, body, record, error, einfo.traceback, self._node)
        return ends_of_body(self._app, body, record, states.FAILURE, error)

    def _store_failure(self, body: Mapping[str, Any], error: ChordError) -> None:
        """All that is left to do when what follows from a failure fails itself."""
        task_id = (body.get("options") or {}).get("task_id")
        if task_id:
            self._app.backend.store_result(task_id, error, states.FAILURE)


def _is_plain(message: Envelope) -> bool:
    """Whether results may be put into a message as JSON text: nobody has looked at them, or written them otherwise."""
    if before_task_publish.has_receivers or after_task_publish.has_receivers:
        return False
    envelope = loads(message[2])
    headers = envelope["headers"]
    is_json = envelope["content-type"] == "application/json" and not headers.get("compression")
    return is_json and not headers.get("rate_limit_key")


def _error_of(group_id: str, exc: Exception, ahead: Following) -> ChordError:
    if not isinstance(exc, ChordError):
        return _callback_error(group_id, exc)
    if ahead.level and isinstance(exc.__cause__, ChordError):
        # The block below says which member it was.
        return exc.__cause__
    return exc


def _callback_error(group_id: str, exc: Exception) -> ChordError:
    logger.exception("Chord callback for %r raised: %r", group_id, exc)
    error = ChordError(f"Callback error: {exc!r}")
    error.__cause__ = exc
    return error


def as_celery_says(
    fate: str, number: float, text: str | None, call: Call
) -> tuple[str, BaseException]:
    """State and exception of an end that no child reports; ``fate`` as for ``Chords.member_ended``."""
    if fate == "expired":
        return states.REVOKED, TaskRevokedError("expired")
    if fate == "revoked":
        return states.REVOKED, TaskRevokedError("terminated" if number else "revoked")
    if fate == "unknown":
        return states.FAILURE, NotRegistered(call.task)
    if fate == "time_limit":
        return states.FAILURE, TimeLimitExceeded(int(number) if number.is_integer() else number)
    if fate == "worker_lost":
        return states.FAILURE, WorkerLostError(text)
    if fate == "refused":
        return states.FAILURE, OperationalError(text)
    return states.FAILURE, InvalidTaskError(text)
