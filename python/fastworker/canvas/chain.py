"""``Chain``: tasks one after the other. Only the first is published; it carries the others, last
one first. How its steps get there is in ``steps.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from fastworker.canvas.apps import app_of
from fastworker.canvas.calls import Calls, StoreStep, apublish, calls_of, publish
from fastworker.canvas.composing import chain_then, folded
from fastworker.canvas.copying import plain
from fastworker.canvas.items import part
from fastworker.canvas.kinds import is_chain, is_chain_led_by_task, is_chord, is_empty_group, kind
from fastworker.canvas.lazy import as_lazy
from fastworker.canvas.publisher import Publisher
from fastworker.canvas.reprs import of_chain
from fastworker.canvas.signature import Signature, as_list, maybe_signature
from fastworker.canvas.stamping import StampingVisitor, asked, collected, stamp_links
from fastworker.canvas.steps import Prepared, freeze_steps, prepare_steps
from fastworker.results.joining import allow_join_result
from fastworker.states import IGNORED, REJECTED

#: So many steps behind the first are stored, where messages may refer to what is stored: fewer cost less as they are.
_MANY_STEPS = 20
#: Options that are the chain's own business; all others go to its first step.
OWN_OPTIONS = frozenset(
    {
        "chord",
        "group_id",
        "group_index",
        "link",
        "link_error",
        "parent_id",
        "root_id",
        "task_id",
    }
)


@kind("chain")
class Chain(Signature):
    """Each task gets the result of the one before in front of its arguments, unless it is
    immutable.

    What ``|`` makes. The tasks are taken as they are; ``chain(…)`` puts them together by the rules of ``|``.

    Args:
        tasks: Signatures, or one iterable of them.
        options: Options of ``apply_async``: ``link`` goes to the last step, ``link_error`` to every
            one, the others to the first.
    """

    tasks = part("tasks", "The steps, first one first.")

    def __init__(self, *tasks: Any, **options: Any) -> None:
        given: Any = tasks
        if len(tasks) == 1 and not isinstance(tasks[0], Mapping):
            given = as_lazy(tasks[0])
        super().__init__("celery.chain", (), {"tasks": given}, **options)
        self["subtask_type"] = "chain"

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild a chain that travelled."""
        tasks = [maybe_signature(task, app) for task in d["kwargs"]["tasks"]]
        chain = cls.__new__(cls)
        Chain.__init__(chain, tasks, app=app, **d["options"])
        chain.update(args=tuple(d.get("args") or ()), immutable=d.get("immutable", False))
        return chain

    @property
    def app(self) -> Publisher:
        """Its own application, else that of a step."""
        app: Publisher = app_of(self)
        return app

    def __or__(self, other: Any) -> Any:
        return chain_then(self, other)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Publish; a chain, unlike a single signature, is not run here."""
        return self.apply_async(args, kwargs)

    def clone(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Any:
        """A copy with copies of its steps; ``args`` go to the first step when it is published."""
        twin = super().clone(args, kwargs, **opts)
        twin.tasks = [maybe_signature(step, self._app, clone=True) for step in twin.tasks]
        return twin

    def unchain_tasks(self) -> list[Any]:
        """Copies of its steps, with the chain's callbacks on the last and its errbacks on all."""
        steps = [step.clone() for step in self.tasks]
        for callback in as_list(self.options.get("link")):
            steps[-1].link(callback)
        for errback in as_list(self.options.get("link_error")):
            for step in steps:
                step.link_error(errback)
        return steps

    # ------------------------------------------------------------------------------------ publishing

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Publish the first step, which carries the rest.

        Args:
            args: In front of the first step's arguments.
            kwargs: More keywords of the first step.
            options: ``link``, ``link_error``, ``task_id`` (of the last step), others for the first
                step.

        Returns:
            The result of the last step; ``parent`` leads to the ones before. None for an empty
            chain. With ``task_always_eager`` all steps run here.
        """
        if self.app.conf.task_always_eager:
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        return publish(self.app, self.calls(args, kwargs, **options))

    async def aapply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """``apply_async`` for a coroutine."""
        if self.app.conf.task_always_eager:
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        return await apublish(self.app, self.calls(args, kwargs, **options))

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """That of the first step."""
        merged = {**self.options, **options}
        own = {name: merged.pop(name, None) for name in OWN_OPTIONS}
        link = own.pop("link")
        given = (*args, *self.args) if args and not self.immutable else self.args
        prepared = prepare_steps(self, given, kwargs or {}, **own)
        if not prepared.results:
            return None
        steps = prepared.steps
        if link:
            steps[0].extend_list_option("link", link)
        first = steps.pop()
        behind = as_list(merged.get("chain"))
        if len(steps) >= _MANY_STEPS and self.app.conf.task_by_reference:
            last_id = getattr(prepared.results[0], "id", None)
            merged["chain"] = yield StoreStep(
                self.app.backend.store_steps, (behind, plain(steps), last_id)
            )
        else:
            merged["chain"] = behind + steps
        result = yield from calls_of(first, None, None, merged)
        # What is known only once it is published, such as a group's members, is in ``result``.
        return prepared.results[0] if steps else result

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give every step its id; the chain's is that of its last step."""
        prepared: Prepared = freeze_steps(
            self, _id, group_id, chord, root_id, parent_id, group_index
        )
        return prepared.results[0]

    _freeze = freeze

    def unroll_chords(self) -> None:
        """Take what follows the first task of a chord's body out of it, in place, so that no header member carries the
        rest of the chain. For copies that are about to be published.
        """
        waiting = deque(self.tasks)
        steps = []
        while waiting:
            step = waiting.popleft()
            if is_chain(step):
                step = step.clone()
                step.unroll_chords()
            if is_chord(step) and is_chain_led_by_task(step.body):
                waiting.extendleft(reversed(step.unroll_body()))
            else:
                steps.append(step)
        self.tasks = steps

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Any:
        """Stamp every step; arguments as for ``Signature.stamp``."""
        added = asked(visitor, "on_chain_start", self, headers)
        headers = collected(self, added, append_stamps, headers)
        stamp_links(self, visitor, append_stamps, headers)
        for step in self.tasks:
            step.stamp(visitor, append_stamps, **headers)
        if visitor is not None:
            visitor.on_chain_end(self, **headers)

    # ----------------------------------------------------------------------------------------- eager

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run the steps here, one after the other, up to one that ends by Ignore or Reject; returns
        the result of the last that ran.
        """
        merged = {**self.options, **options}
        link = merged.pop("link", None)
        task_id = merged.pop("task_id", None)
        steps = list(self.tasks)
        last = max(
            (index for index, step in enumerate(steps) if not is_empty_group(step)),
            default=len(steps) - 1,
        )
        previous: Any = None
        given: tuple[Any, Any] = ((*(args or ()), *self.args), kwargs)
        for index, step in enumerate(steps):
            if is_empty_group(step) and (index < len(steps) - 1 or previous is not None):
                continue
            twin = step.clone()
            if index == last:
                if link:
                    (twin.body if is_chord(twin) else twin).extend_list_option("link", link)
                if task_id:
                    merged["task_id"] = task_id
            if previous is not None:
                given = ((previous.get(disable_sync_subtasks=False),), None)
            result = twin.apply(*given, **merged)
            result.parent, previous = previous, result
            if getattr(result, "state", None) in (IGNORED, REJECTED):
                break
        return previous

    def __repr__(self) -> str:
        return of_chain(self)


class chain(Chain):
    """``chain(a, b, c)`` is ``a | b | c``: a ``Chain``, or what the rules of ``|`` make of the tasks.

    Args:
        tasks: Signatures, or one iterable of them.
        options: As for ``Chain``; with options the tasks are taken as they are.
    """

    def __new__(cls, *tasks: Any, **options: Any) -> Any:
        if options or not tasks:
            return super().__new__(cls)
        if len(tasks) == 1:
            (only,) = tasks
            if isinstance(only, Mapping) or not isinstance(only, Iterable):
                return super().__new__(cls)
            tasks = tuple(only)
        made = folded(tasks, Chain())
        if cls is not chain and isinstance(made, Chain) and not isinstance(made, cls):
            own = super().__new__(cls)
            Chain.__init__(own, made.tasks)
            return own
        return made
