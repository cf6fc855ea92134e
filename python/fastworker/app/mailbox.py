"""Remote control on the wire: kombu's pidbox. Broadcasts to all workers, replies to the one who asked.

A broadcast goes to the fanout exchange ``celery.pidbox``; whoever wants replies first binds a queue
of its own to ``reply.celery.pidbox``. Source: kombu/pidbox.py; celery-contract 8.1.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.app.clock import clock_in
from fastworker.errors import ContentDisallowed, DecodeError
from fastworker.greenlets import cooperative
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@dataclass(frozen=True)
class Letter:
    """What came out of an envelope."""

    body: Any
    headers: Mapping[str, Any]


class Mailbox:
    """An application's side of remote control.

    Args:
        app: Its settings name exchange, serializer and what may be read.
    """

    def __init__(self, app: FastWorker) -> None:
        self._app = app
        self._client: _core.ControlClient | None = None
        self._address: tuple[str, dict[str, str]] | None = None

    @property
    def exchange(self) -> str:
        """Where broadcasts go."""
        return f"{self._app.conf.control_exchange}.pidbox"

    @property
    def reply_exchange(self) -> str:
        """Where replies go."""
        return f"reply.{self._app.conf.control_exchange}.pidbox"

    @property
    def client(self) -> _core.ControlClient:
        """The connection, which is not the one that tasks are published on."""
        broker = self._app.broker
        address = (broker.write_url, broker.options)
        if self._client is None or self._address != address:
            broker.prepare()
            self._client, self._address = cooperative(_core.ControlClient(*address)), address
        return self._client

    def close(self) -> None:
        """Let go of the connection; the next use opens another."""
        self._client = self._address = None

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        destination: Sequence[str] | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        reply: bool = False,
        timeout: float | None = 1.0,
        limit: int | None = None,
        callback: Callable[[Any], object] | None = None,
    ) -> list[Any] | None:
        """Send a command to all workers, or to those named, and collect replies if wanted.

        Args:
            command: Its name.
            arguments: Its keyword arguments.
            destination: Node names; None: every node.
            pattern: Node names by a pattern; needs ``matcher``.
            matcher: ``glob`` or ``pcre``.
            reply: Wait for replies.
            timeout: Seconds of silence after which nobody else is waited for; None: for ever.
            limit: Replies that are enough; None: one for each destination, else no limit.
            callback: Called with each reply as it comes.

        Returns:
            ``[{node: reply}, …]``; None without ``reply``.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        message: dict[str, Any] = {
            "method": command,
            "arguments": dict(arguments),
            "destination": destination,
            "pattern": pattern,
            "matcher": matcher,
        }
        headers = {
            "clock": self._app.clock.forward(),
            "expires": time.time() + timeout if timeout else 0,
        }
        if not reply:
            self.client.broadcast(self.exchange, self._envelope(message, headers, self.exchange))
            return None
        ticket, mailbox = _core.new_id(), _core.new_id()
        message["ticket"] = ticket
        message["reply_to"] = {"exchange": self.reply_exchange, "routing_key": mailbox}
        if limit is None and destination:
            limit = len(destination)
        self.client.open_mailbox(self.reply_exchange, mailbox)
        try:
            self.client.broadcast(self.exchange, self._envelope(message, headers, self.exchange))
            return self._collect(mailbox, ticket, timeout, limit, callback)
        finally:
            self.client.close_mailbox(self.reply_exchange, mailbox)

    def _collect(
        self,
        mailbox: str,
        ticket: str,
        timeout: float | None,
        limit: int | None,
        callback: Callable[[Any], object] | None,
    ) -> list[Any]:
        replies: list[Any] = []
        while limit is None or len(replies) < limit:
            envelope = self.client.take_reply(
                self.reply_exchange, mailbox, float("inf") if timeout is None else timeout
            )
            if envelope is None:
                break
            letter = self.read(envelope)
            self._app.clock.adjust(clock_in(letter.headers))
            if letter.headers.get("ticket", ticket) != ticket:
                continue
            if callback is not None:
                callback(letter.body)
            replies.append(letter.body)
        return replies

    def reply(
        self, node: str, value: Any, exchange: str, routing_key: str, ticket: str | None
    ) -> bool:
        """Answer a broadcast. False: nobody waits for the answer any more.

        Raises:
            EncodeError: ``value`` has no form in ``task_serializer``.
            OperationalError: The broker cannot be reached.
        """
        headers = {"ticket": ticket, "clock": self._app.clock.forward()}
        envelope = self._envelope({node: value}, headers, exchange, routing_key)
        return self.client.reply(exchange, routing_key, envelope)

    def read(self, envelope: bytes) -> Letter:
        """Take an envelope apart.

        Raises:
            DecodeError: It is no envelope, or its body is not what it says.
            ContentDisallowed: Its content type is not in ``accept_content``.
        """
        try:
            parts = json.loads(envelope)
            body, properties = parts["body"], parts.get("properties") or {}
            data = body.encode()
            if properties.get("body_encoding") == "base64":
                data = base64.b64decode(data)
            content_type = parts.get("content-type") or "application/json"
            encoding = parts.get("content-encoding") or "utf-8"
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            raise DecodeError(
                f"a control message is not kombu's envelope: {envelope[:80]!r}"
            ) from exc
        accept = registry.content_types(self._app.conf.accept_content)
        return Letter(
            registry.loads(data, content_type, encoding, accept), parts.get("headers") or {}
        )

    def _envelope(
        self, body: Any, headers: Mapping[str, Any], exchange: str, routing_key: str = ""
    ) -> bytes:
        content_type, encoding, data = registry.dumps(body, self._app.conf.task_serializer)
        envelope = {
            "body": base64.b64encode(data).decode(),
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": dict(headers),
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": exchange, "routing_key": routing_key},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": _core.new_id(),
            },
        }
        return json.dumps(envelope).encode()


__all__ = ["ContentDisallowed", "Letter", "Mailbox"]
