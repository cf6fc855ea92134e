"""How the call that runs here ends, collected while Celery's tracer says it piece by piece."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from fastworker._core import loads

if TYPE_CHECKING:
    from fastworker._core import Call, ChildLink
    from fastworker.child.members import Part


class Outcome:
    """What is reported in one piece when the tracer has returned.

    Attributes:
        call: What runs.
        link: Where its end is reported.
        status: Celery's state, when there is a document to store.
        doc: The result document.
        parts: What its end means for chords.
        facts: How events show it, as ``ChildLink.report`` takes it.
        is_ending: Celery is saying how it ended; what is stored before that is a state on the way.
        added: Ids of the members that it has added to its chord.
        added_members: How many there are.
    """

    __slots__ = (
        "_has_begun",
        "added",
        "added_members",
        "call",
        "doc",
        "facts",
        "is_ending",
        "link",
        "parts",
        "status",
    )

    def __init__(self, call: Call, link: ChildLink) -> None:
        self.call = call
        self.link = link
        self.status: str | None = None
        self.doc: bytes | None = None
        self.parts: list[Part] = []
        self.facts: dict[str, str] = {}
        self.is_ending = False
        self.added: set[str] = set()
        self.added_members = 0
        self._has_begun = False

    @property
    def properties(self) -> dict[str, Any]:
        """Those of its message."""
        return dict(loads(self.call.properties) or {})

    def collect_successors(self) -> None:
        """From now on, what is published leaves with the end. Celery begins for each callback, and for the next step of
        the chain; none of them takes the place of those before it."""
        if not self._has_begun:
            self._has_begun = True
            self.link.collect_successors(True)


#: Of the call for which code runs; None: for none.
current_outcome: ContextVar[Outcome | None] = ContextVar("fastworker_outcome", default=None)
