"""A worker's side of remote control: is a broadcast meant for this node, what does it ask, and the answer.

It runs on the main thread, never in the pool, so that a worker full of long tasks answers at once. Source: kombu's
``pidbox.Node``; celery-contract 8.1.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastworker.app.clock import clock_in
from fastworker.app.control import match
from fastworker.errors import ContentDisallowed, DecodeError, EncodeError, OperationalError
from fastworker.worker.control import Panel
from fastworker.worker.panel import NO_REPLY

if TYPE_CHECKING:
    from fastworker.worker.panel import State

logger = logging.getLogger("fastworker.worker.control")


class Pidbox:
    """Answers broadcasts.

    Args:
        state: What commands are given.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._mailbox = state.app.control.mailbox

    def on_broadcast(self, envelope: bytes) -> None:
        """Carry out one broadcast, if it is for this node. Nothing that it says can stop the worker."""
        try:
            letter = self._mailbox.read(envelope)
        except (DecodeError, ContentDisallowed) as exc:
            logger.error("Cannot decode message: %r", exc)
            return
        self._state.app.clock.adjust(clock_in(letter.headers))
        body = letter.body
        if not isinstance(body, dict) or not isinstance(body.get("method"), str):
            logger.error("a control message is %.200r: expected a mapping with a method", body)
            return
        if self._is_meant(body):
            state = self._state
            if body.get("destination") or (body.get("pattern") and body.get("matcher")):
                state = replace(state, is_addressed=True)
            self._dispatch(
                state,
                body["method"],
                body.get("arguments"),
                body.get("reply_to"),
                body.get("ticket"),
            )

    def _is_meant(self, body: dict[str, Any]) -> bool:
        destination, pattern, matcher = (
            body.get(key) for key in ("destination", "pattern", "matcher")
        )
        if destination:
            return self._state.hostname in destination
        if pattern and matcher:
            return match(self._state.hostname, pattern, matcher)
        return True

    def _dispatch(
        self, state: State, method: str, arguments: Any, reply_to: Any, ticket: str | None
    ) -> None:
        try:
            reply = Panel.find(method)(state, **(arguments or {}))
        except Exception as exc:
            # Whoever asked is told; so is who reads the log.
            logger.error("pidbox command error: %r", exc, exc_info=not isinstance(exc, KeyError))
            reply = {"error": repr(exc)}
        if reply is NO_REPLY or not reply_to:
            return
        try:
            self._answer(reply, reply_to, ticket)
        except (EncodeError, OperationalError) as exc:
            logger.error("cannot answer the control command %s: %s", method, exc)

    def _answer(self, reply: Any, reply_to: dict[str, str], ticket: str | None) -> None:
        node = self._state.hostname
        where = (reply_to["exchange"], reply_to["routing_key"], ticket)
        try:
            self._mailbox.reply(node, reply, *where)
        except EncodeError as exc:
            self._mailbox.reply(node, {"error": repr(exc)}, *where)
