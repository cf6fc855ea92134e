"""What a task makes of itself: signatures, calls of many items in one message, and what takes its place or joins it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from fastworker.errors import Replaced

if TYPE_CHECKING:
    from fastworker.app.task import Task
    from fastworker.canvas.signature import Signature


class TaskCanvas:
    """A base of ``Task``, which has the attributes."""

    request: Any

    if TYPE_CHECKING:

        def bound_app(self) -> Any: ...

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> Signature:
        """A call of this task that is not published yet; arguments as for ``Signature``."""
        from fastworker.canvas.signature import Signature

        starkwargs.setdefault("app", self.bound_app())
        return Signature(self, args, *starargs, **starkwargs)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """A signature of these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """A signature that takes no result in front of its arguments."""
        return self.signature(args, kwargs, immutable=True)

    def signature_from_request(
        self,
        request: Any = None,
        args: Any = None,
        kwargs: Any = None,
        queue: Any = None,
        **extra_options: Any,
    ) -> Signature:
        """The call of ``request``, to be published again to where it came from."""
        from fastworker.app.retry import signature_from_request

        return signature_from_request(
            cast("Task[..., Any]", self),
            request or self.request,
            args,
            kwargs,
            queue,
            extra_options,
        )

    def chunks(self, it: Iterable[Sequence[Any]], n: int) -> Any:
        """A group of messages that each have ``n`` calls in them; ``it`` holds the arguments of each call."""
        from fastworker.canvas.maps import chunks

        return chunks(self.s(), it, n, app=self.bound_app())

    def map(self, it: Iterable[Any]) -> Any:
        """One message that has a worker call the task for each item, one after the other."""
        from fastworker.canvas.maps import xmap

        return xmap(self.s(), it, app=self.bound_app())

    def starmap(self, it: Iterable[Sequence[Any]]) -> Any:
        """``map`` for tasks of several arguments: each item is a sequence of them."""
        from fastworker.canvas.maps import xstarmap

        return xstarmap(self.s(), it, app=self.bound_app())

    def replace(self, sig: Signature) -> Any:
        """Put another call in the place of this one; write ``raise self.replace(…)``.

        The other call has this one's id, so whoever waits for this result gets the other's.
        Callbacks, errbacks and the rest of a chain come after it.

        Args:
            sig: A signature of any kind; of a group, the list of its results takes the place.

        Raises:
            Ignore: Always, unless the task runs eagerly; tells the worker.
            ImproperlyConfigured: ``sig`` is part of a chord, or an empty chain.
        """
        from fastworker.app.replace import replacement

        return self.on_replace(replacement(cast("Task[..., Any]", self), sig))

    def on_replace(self, sig: Signature) -> Any:
        """Publish the replacement, or run it here; to be overridden around ``super()``."""
        if self.request.is_eager:
            return sig.apply().get(disable_sync_subtasks=False)
        sig.delay()
        raise Replaced("Replaced by new task")

    def add_to_chord(self, sig: Signature, lazy: bool = False) -> Any:
        """Make ``sig`` one more member of the header that the running call is in.

        Args:
            sig: A single task.
            lazy: Do not publish it: its ``delay()`` is called later.

        Returns:
            Its result; with ``lazy`` the signature.

        Raises:
            ValueError: The running call is not in a chord's header.
        """
        from fastworker.app.replace import into_chord

        return into_chord(cast("Task[..., Any]", self), sig, lazy)
