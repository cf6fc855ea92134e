"""A task as the parent knows it, for ``inspect`` and for signals: read from its message only when somebody asks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastworker._core import loads
from fastworker.app.context import Context
from fastworker.child.decode import accepts_json, decode_call
from fastworker.child.request import request_fields

if TYPE_CHECKING:
    from fastworker._core import Call
    from fastworker.app.app import FastWorker


class HeldRequest:
    """One task that this worker holds, or just held.

    Args:
        app: Says how its arguments are read.
        node: The worker's name.
        held: As ``_core.Worker.snapshot`` gives it: ``call stage eta_ms started_us pid is_acked``; and ``lane``, if the
            worker has lanes.
    """

    def __init__(self, app: FastWorker, node: str, held: dict[str, Any]) -> None:
        self._app = app
        self._node = node
        self.call: Call = held["call"]
        self.stage: str = held["stage"]
        self.eta_ms: int | None = held["eta_ms"]
        self._started_us: int | None = held["started_us"]
        self.worker_pid: int | None = held["pid"]
        self.acknowledged: bool = held["is_acked"]
        self.lane: str | None = held.get("lane")

    @property
    def id(self) -> str:
        """The task's id."""
        return self.call.id

    @property
    def name(self) -> str:
        """The task's name."""
        return self.call.task

    @cached_property
    def headers(self) -> dict[str, Any]:
        """The message's headers."""
        return loads(self.call.headers) or {}

    @cached_property
    def context(self) -> Context:
        """What ``self.request`` would be in the task.

        Raises:
            DecodeError, ContentDisallowed, InvalidTaskError: Its body cannot be read here.
        """
        args, kwargs, embed = decode_call(self.call, self._app, accepts_json(self._app))
        return Context(request_fields(self.call, args, kwargs, embed, self._node))

    def info(self, safe: bool = False) -> dict[str, Any]:
        """The task as ``inspect`` shows it; ``safe``: with the arguments' representations.

        Source: celery-contract 8.2.
        """
        if safe:
            args, kwargs = self.headers.get("argsrepr"), self.headers.get("kwargsrepr")
            delivery = request_fields(self.call, (), {}, None, self._node)["delivery_info"]
        else:
            context = self.context
            args, kwargs, delivery = context.args, context.kwargs, context.delivery_info
        return {
            "id": self.id,
            "name": self.name,
            "args": args,
            "kwargs": kwargs,
            "type": self.name,
            "hostname": self._node,
            "time_start": None if self._started_us is None else self._started_us / 1e6,
            "acknowledged": self.acknowledged,
            "delivery_info": delivery,
            "worker_pid": self.worker_pid,
            **({} if self.lane is None else {"lane": self.lane}),
        }
