"""``task.request``: what a running task knows of its call."""

from __future__ import annotations

from typing import Any

#: RabbitMQ's dead-letter headers; a message that is published again with them is taken for a loop
#: and discarded.
_X_DEATH = frozenset(
    {
        "x-death",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
    }
)
_NOT_CUSTOM = frozenset({"lang", "task", "argsrepr", "kwargsrepr", "compression"})


class Context:
    """The call that a task runs for; attributes that were not given have the values below.

    Args:
        args: A mapping, or pairs, of attributes; as for ``dict``.
        kwargs: More attributes.
    """

    _children: list[Any] | None = None
    #: How many it has added to its chord.
    added_members: int = 0
    args: Any = None
    #: This is no call, but what ``self.request`` is in a function that has a batch of them.
    is_batch: bool = False
    callbacks: Any = None
    #: Called as a function: not by a worker, not by ``apply``.
    called_directly: bool = True
    chain: Any = None
    chord: Any = None
    correlation_id: str | None = None
    delivery_info: dict[str, Any] | None = None
    errbacks: Any = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    group_index: int | None = None
    #: Only the user's own headers; None when there are none.
    headers: dict[str, Any] | None = None
    hostname: str | None = None
    id: str | None = None
    ignore_result: bool | None = False
    is_eager: bool = False
    kwargs: Any = None
    logfile: str | None = None
    loglevel: int | None = None
    origin: str | None = None
    parent_id: str | None = None
    properties: dict[str, Any] | None = None
    retries: int = 0
    reply_to: str | None = None
    replaced_task_nesting: int = 0
    root_id: str | None = None
    shadow: str | None = None
    #: Old name of ``group``.
    taskset: str | None = None
    #: ``[hard, soft]``, seconds.
    timelimit: Any = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    utc: bool | None = None
    stamped_headers: Any = None
    stamps: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.update(*args, **kwargs)
        if self.headers is None:
            self.headers = self._custom_headers()

    def _custom_headers(self) -> dict[str, Any] | None:
        known = Context.__dict__.keys() | _NOT_CUSTOM
        return {key: value for key, value in self.__dict__.items() if key not in known} or None

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set attributes; a new ``timelimit`` also sets ``time_limit`` and ``soft_time_limit``."""
        given = dict(*args, **kwargs)
        self.__dict__.update(given)
        if "timelimit" in given:
            limits = given["timelimit"]
            is_pair = isinstance(limits, list | tuple) and len(limits) >= 2
            self.time_limit, self.soft_time_limit = (
                (limits[0], limits[1]) if is_pair else (None, None)
            )

    def clear(self) -> None:
        """Back to what a call that nothing is known of has."""
        self.__dict__.clear()

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute, or ``default``."""
        return getattr(self, key, default)

    @property
    def children(self) -> list[Any]:
        """Results of the tasks published from inside this one."""
        if self._children is None:
            self._children = []
        return self._children

    def as_execution_options(self) -> dict[str, Any]:
        """The options under which the same call is published again."""
        hard, soft = self.timelimit or (None, None)
        options: dict[str, Any] = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": {k: v for k, v in (self.headers or {}).items() if k not in _X_DEATH},
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
        }
        if self.stamps is not None and self.stamped_headers is not None:
            options["stamped_headers"] = self.stamped_headers
            options.update({k: v for k, v in self.stamps.items() if k in self.stamped_headers})
        return options

    def __repr__(self) -> str:
        return f"<Context: {vars(self)!r}>"
