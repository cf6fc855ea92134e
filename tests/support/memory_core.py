"""The Rust half's clients with a dict in place of a server, for unit tests of the Python half.

The codec is the real one. What is published is kept as decoded envelopes, so that a test looks at
messages as a worker would get them.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from fastworker import _core
from fastworker.errors import OperationalError


@dataclass
class Message:
    """A published message, decoded: headers, properties and the JSON body."""

    queue: str
    priority: int
    headers: dict[str, Any]
    properties: dict[str, Any]
    raw_body: bytes
    content_type: str

    @property
    def body(self) -> Any:
        """``[args, kwargs, embed]``."""
        return _core.loads(self.raw_body)


@dataclass
class Memory:
    """What the stand-ins keep: messages, result documents, and how to fail."""

    messages: list[Message] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    chord_sizes: dict[str, int | None] = field(default_factory=dict)
    groups: dict[str, bytes] = field(default_factory=dict)
    publishers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    plans: int = 0
    refusals: int = 0
    on_wait: Callable[[str], None] | None = None
    on_depth: Callable[[str], None] | None = None

    def publish(self, messages: Sequence[tuple[str, int, bytes]]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OperationalError("refused by the test")
        self.messages.extend(_decode(*message) for message in messages)


def _decode(queue: str, priority: int, envelope: bytes) -> Message:
    parts = json.loads(envelope)
    body = parts["body"]
    if parts["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    properties = parts["properties"]
    return Message(queue, priority, parts["headers"], properties, body, parts["content-type"])


def install(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Put the stand-ins in place for one test."""
    memory = Memory()

    class Publisher:
        def __init__(self, url: str, options: Mapping[str, str]) -> None:
            memory.publishers.append((url, dict(options)))

        def publish(self, messages: Sequence[tuple[str, int, bytes]]) -> None:
            memory.publish(messages)

        def depth(self, queue: str) -> int:
            if memory.on_depth is not None:
                memory.on_depth(queue)
            return sum(message.queue == queue for message in memory.messages)

        def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
            return []

        def close(self) -> None:
            memory.publishers.pop()

    class MessagePlan:
        def __init__(self, link: Any, **fixed: Any) -> None:
            memory.plans += 1
            self._link = link
            self._fixed = fixed

        def send(self, args: Any, kwargs: Any, root_id: str | None, parent_id: str | None) -> str:
            return self._send(args, kwargs, root_id, parent_id, None)

        def send_many(
            self,
            calls: Iterable[tuple[Any, ...]],
            root_id: str | None,
            parent_id: str | None,
            seed: str,
            start: int,
        ) -> int:
            place = start
            for place, args in enumerate(calls, start + 1):
                self._send(args, {}, root_id, parent_id, stream_ids(seed, place - 1, 1)[0])
            return place - start

        def _send(
            self,
            args: Any,
            kwargs: Any,
            root_id: str | None,
            parent_id: str | None,
            task_id: str | None,
        ) -> str:
            task_id, message = self.member(
                args, kwargs, task_id, root_id, parent_id, None, None, None
            )
            self._link.publish([message])
            return task_id

        def member(
            self,
            args: Any,
            kwargs: Any,
            task_id: str | None,
            root_id: str | None,
            parent_id: str | None,
            group: str | None,
            index: int | None,
            embed: bytes | None,
        ) -> tuple[str, tuple[str, int, bytes]]:
            fixed = self._fixed
            task_id = task_id or str(_core.new_id())
            nothing = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
            body = _core.dumps([args, kwargs, nothing if embed is None else _core.loads(embed)])
            headers = {
                "lang": "py",
                "task": fixed["task"],
                "id": task_id,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": group,
                "group_index": index,
                "retries": 0,
                "timelimit": [fixed["time_limit"], fixed["soft_time_limit"]],
                "root_id": root_id or task_id,
                "parent_id": parent_id,
                "argsrepr": fixed["saferepr"](args),
                "kwargsrepr": fixed["saferepr"](kwargs),
                "origin": fixed["origin"],
                "ignore_result": fixed["ignore_result"],
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            }
            envelope = _core.write_envelope(
                headers=_core.dumps(headers),
                correlation_id=task_id,
                reply_to=fixed["reply_to"],
                priority=fixed["priority"] or 0,
                queue=fixed["queue"],
                expiration_ms=None,
                content_type="application/json",
                content_encoding="utf-8",
                body=body,
            )
            return task_id, (fixed["queue"], fixed["priority"] or 0, envelope)

    class ResultStore:
        def __init__(self, url: str, options: Mapping[str, str]) -> None:
            pass

        def get(self, task_id: str) -> bytes | None:
            return memory.documents.get(task_id)

        def get_many(self, task_ids: Sequence[str]) -> list[bytes | None]:
            return [memory.documents.get(task_id) for task_id in task_ids]

        def wait(self, task_id: str, seen: bytes | None, timeout_s: float) -> bytes | None:
            if memory.on_wait is not None:
                memory.on_wait(task_id)
            doc = memory.documents.get(task_id)
            return None if doc == seen else doc

        def store(self, task_id: str, doc: bytes, is_success: bool, ttl_s: int | None) -> None:
            memory.documents[task_id] = doc

        def begin_chord(
            self, group_id: str, size: int | None, ttl_s: int | None, run: str | None
        ) -> None:
            memory.chord_sizes[group_id] = size

        def set_chord_size(self, group_id: str, size: int, ttl_s: int | None) -> None:
            is_new = group_id.count(".") == 2  # a block's of a reduction: nobody had it before
            assert is_new or group_id in memory.chord_sizes, (
                "what was counted before would be of an earlier run"
            )
            memory.chord_sizes[group_id] = size

        def save_group(self, group_id: str, doc: bytes, ttl_s: int | None) -> None:
            memory.groups[group_id] = doc

        def group(self, group_id: str) -> bytes | None:
            return memory.groups.get(group_id)

        def delete_group(self, group_id: str) -> None:
            memory.groups.pop(group_id, None)

        def forget(self, task_ids: Sequence[str]) -> None:
            for task_id in task_ids:
                memory.documents.pop(task_id, None)

        def close(self) -> None:
            pass

    for stand_in in (Publisher, MessagePlan, ResultStore, write_envelope, stream_ids):
        monkeypatch.setattr(_core, stand_in.__name__, stand_in, raising=False)
    monkeypatch.setattr(_core, "new_id", lambda: str(uuid.uuid4()), raising=False)
    return memory


def stream_ids(seed: str, start: int, count: int) -> list[str]:
    """What the id of a call of a stream is made of."""
    return [str(uuid.uuid5(uuid.UUID(seed), str(place))) for place in range(start, start + count)]


def write_envelope(
    *,
    headers: bytes,
    correlation_id: str,
    reply_to: str | None,
    priority: int,
    queue: str,
    expiration_ms: int | None,
    content_type: str,
    content_encoding: str,
    body: bytes,
    announced_on: str | None = None,
    is_transient: bool = False,
) -> bytes:
    """kombu's envelope."""
    properties: dict[str, Any] = {
        "correlation_id": correlation_id,
        "reply_to": reply_to,
        "delivery_mode": 1 if is_transient else 2,
        "delivery_info": {"exchange": announced_on or "", "routing_key": queue},
        "priority": priority,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    if expiration_ms is not None:
        properties["expiration"] = str(expiration_ms)
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": content_encoding,
        "content-type": content_type,
        "headers": json.loads(headers),
        "properties": properties,
    }
    return json.dumps(envelope).encode()
