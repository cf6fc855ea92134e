"""The backend's part for groups and chords: names and documents are Celery's, so that a group that one of both saved is
restored by the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastworker.errors import DecodeError
from fastworker.results.references import STEPS_S, StoredSteps
from fastworker.results.result_set import GroupResult
from fastworker.serialize import registry

if TYPE_CHECKING:
    from fastworker import _core
    from fastworker.results.application import ResultApp
    from fastworker.results.backend import Terms


class GroupStore:
    """Groups and chords in a result store; a base of ``Backend``, which has the attributes."""

    app: ResultApp

    if TYPE_CHECKING:

        @property
        def store(self) -> _core.ResultStore: ...

        @property
        def terms(self) -> Terms: ...

    def begin_chord(self, group_id: str) -> None:
        """Begin a chord whose size is not known yet, before the first member of its header is published.

        As ``set_chord_size``, which is to follow before the last member is published.
        """
        self.store.begin_chord(group_id, None, self.terms.chord_ttl_s, self.app.chord_run)

    def set_chord_size(self, group_id: str, chord_size: int, has_begun: bool = False) -> None:
        """Say how many parts complete a chord, before the first member of its header is published.

        An earlier run under the same id is forgotten: applying a frozen chord again is a new run. An unfinished chord
        is kept for ``result_chord_expires`` after its last part; unset, as long as results, and a day at least.

        Args:
            group_id: Of the header.
            chord_size: Number of parts.
            has_begun: After ``begin_chord``: the parts that were counted since stay counted.
        """
        ttl_s = self.terms.chord_ttl_s
        if has_begun:
            self.store.set_chord_size(group_id, chord_size, ttl_s)
        else:
            self.store.begin_chord(group_id, chord_size, ttl_s, self.app.chord_run)

    def add_to_chord(self, group_id: str, result: Any) -> None:
        """Say that a chord has one member more, before that one is published.

        Args:
            group_id: Of the header.
            result: The member's, by whose id it counts once; None: it counts each time.
        """
        member = None if result is None else result.id
        self.store.add_to_chord(group_id, self.terms.chord_ttl_s, member)

    def save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        """Store which results a group has, for ``restore_group``; kept as long as results are."""
        _, _, doc = registry.dumps({"result": self._stored(result)}, self.terms.serializer)
        self.store.save_group(group_id, doc, self.terms.ttl_s)
        return result

    def store_steps(self, behind: Any, steps: list[Any], last_id: str | None) -> Any:
        """Store the steps of a chain, for a message that refers to them.

        Args:
            behind: What runs after them: a list, or what this returned.
            steps: As plain data, last one first.
            last_id: The task whose result is the chain's.

        Returns:
            What the message carries; a list of all where a step has no JSON form.
        """
        try:
            return StoredSteps.stored(self._keep_steps, behind, steps, last_id)
        except (TypeError, ValueError):
            return behind + steps

    def _keep_steps(self, name: str, docs: list[bytes]) -> None:
        self.store.keep(name, docs, STEPS_S)

    def _stored(self, result: GroupResult) -> Any:
        return result if self.terms.serializer == "pickle" else result.as_tuple()

    def restore_group(self, group_id: str, cache: bool = True) -> GroupResult | None:
        """A saved group, or None. Nothing is cached.

        Raises:
            DecodeError: What is stored is no group's document.
        """
        doc = self.store.group(group_id)
        return None if doc is None else self.decode_group(group_id, doc)

    def decode_group(self, group_id: str, doc: bytes) -> GroupResult:
        """Read the document of a group.

        Raises:
            DecodeError: It is none.
        """
        from fastworker.results.tuples import result_from_tuple

        terms = self.terms
        chosen = registry.get(terms.serializer)
        meta = registry.loads(doc, chosen.content_type, chosen.content_encoding, terms.accept)
        found = meta.get("result") if isinstance(meta, dict) else None
        result = None if found is None else result_from_tuple(found, self.app)
        if not isinstance(result, GroupResult):
            raise DecodeError(
                f"what is stored of group {group_id!r} is not a group's: {doc[:80]!r}"
            )
        return result

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group; the results of its members are left alone."""
        self.store.delete_group(group_id)
