"""``Chain``: tasks one after the other. Only the first is published; it carries the others, last
one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastworker.canvas.publisher import Publisher
from fastworker.canvas.signature import Signature, as_list, maybe_signature, unsupported
from fastworker.results.joining import allow_join_result
from fastworker.states import IGNORED, REJECTED


@Signature.register_type("chain")
class Chain(Signature):
    """Each task gets the result of the one before in front of its arguments, unless it is
    immutable.

    Args:
        tasks: Signatures, or one iterable of them; chains among them are opened.
        options: Options of ``apply_async``: ``link`` goes to the last step, ``link_error`` to every
            one, the others to the first.
    """

    def __init__(self, *tasks: Any, app: Publisher | None = None, **options: Any) -> None:
        given = tasks[0] if len(tasks) == 1 and not isinstance(tasks[0], Mapping) else tasks
        super().__init__("celery.chain", (), {"tasks": list(_steps(given, app))}, options, app=app)
        self["subtask_type"] = "chain"

    @classmethod
    def of(cls, *tasks: Signature, app: Publisher | None = None) -> Chain:
        """A chain of the signatures; options of chains among them are kept on their steps."""
        return cls(*tasks, app=app)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Chain:
        """Rebuild a chain that travelled."""
        chain = cls(*d["kwargs"]["tasks"], app=app)
        chain.update(
            args=tuple(d["args"]), options=dict(d["options"]), immutable=d.get("immutable", False)
        )
        return chain

    @property
    def tasks(self) -> list[Signature]:
        """The steps, first one first."""
        return self["kwargs"]["tasks"]  # type: ignore[no-any-return]

    def items_in_order(self) -> Iterator[Signature]:
        """The steps."""
        return iter(self.tasks)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Publish; a chain, unlike a single signature, is not run here."""
        return self.apply_async(args, kwargs)

    def clone(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Any:
        """A copy; ``args`` go to the first step."""
        twin = Chain(
            *(step.clone() for step in self.tasks), app=self._app, **{**self.options, **opts}
        )
        twin["immutable"] = self["immutable"]
        twin["args"] = (*(args or ()), *self.args)
        return twin

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
        if not self.tasks:
            return None
        if self._is_eager():
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        first, result, merged = self._ready(options)
        first.apply_async((*(args or ()), *self.args), kwargs or {}, **merged)
        return result

    async def aapply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """``apply_async`` for a coroutine."""
        if not self.tasks:
            return None
        if self._is_eager():
            with allow_join_result():
                return self.apply(args, kwargs, **options)
        first, result, merged = self._ready(options)
        await first.aapply_async((*(args or ()), *self.args), kwargs or {}, **merged)
        return result

    def _is_eager(self) -> bool:
        return bool(self.tasks[0].app.conf.task_always_eager)

    def _ready(self, options: Mapping[str, Any]) -> tuple[Signature, Any, dict[str, Any]]:
        """The first step, the result of the last, and the options that the first is published
        with.
        """
        merged = {**self.options, **options}
        steps = [step.clone() for step in self.tasks]
        results = self._frozen(steps, merged)
        for errback in as_list(merged.pop("link_error", None)):
            for step in steps:
                step.link_error(errback)
        for callback in as_list(merged.pop("link", None)):
            steps[-1].link(callback)
        first, rest = steps[0], [dict(step) for step in reversed(steps[1:])]
        if rest:
            merged["chain"] = rest + as_list(merged.get("chain"))
        return first, results[-1], merged

    def _frozen(self, steps: list[Signature], options: dict[str, Any]) -> list[Any]:
        """Results of the steps, each with the one before as its parent; ``task_id`` names the
        last.
        """
        last_id = options.pop("task_id", None)
        if last_id is not None:
            steps[-1].options["task_id"] = last_id
        results: list[Any] = []
        for step in steps:
            result = step.freeze()
            result.parent = results[-1] if results else None
            results.append(result)
        return results

    def freeze(self, _id: str | None = None, **ids: Any) -> Any:  # type: ignore[override]
        """Give every step its id; the chain's is that of its last step."""
        options = {"task_id": _id} if _id is not None else {}
        results = self._frozen(self.tasks, options)
        return results[-1] if results else None

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run the steps here, one after the other, up to one that ends by Ignore or Reject; returns
        the ``EagerResult`` of the last that ran.
        """
        merged = {**self.options, **options}
        last = {name: merged.pop(name) for name in ("link", "task_id") if name in merged}
        previous: Any = None
        given: tuple[Any, Mapping[str, Any] | None] = ((*(args or ()), *self.args), kwargs)
        for number, step in enumerate(self.tasks, start=1):
            its_own = last if number == len(self.tasks) else {}
            result = step.clone(*given).apply(**merged, **its_own)
            result.parent, previous = previous, result
            if result.state in (IGNORED, REJECTED):
                break
            given = (previous.get(),), None
        return previous

    def __repr__(self) -> str:
        return " | ".join(repr(step) for step in self.tasks) or "chain()"


def _steps(tasks: Iterable[Any], app: Publisher | None) -> Iterator[Signature]:
    """Single signatures only: chains are opened, their ``link`` put on their last step."""
    for task in tasks:
        step = maybe_signature(task, app, clone=True)
        if not isinstance(step, Signature):
            raise TypeError(f"a chain takes signatures, not {task!r}; write task.s(…)")
        if isinstance(step, Chain):
            inner = step.tasks
            for callback in as_list(step.options.get("link")):
                inner[-1].link(callback)
            for errback in as_list(step.options.get("link_error")):
                for each in inner:
                    each.link_error(errback)
            yield from inner
        elif step.subtask_type:
            unsupported(step.subtask_type)
        else:
            yield step


chain = Chain
