"""Celery's stacks of running tasks and their requests, looked at with less work.

Celery keeps them by greenlet in an object whose attributes are looked up in Python, and learns from a failed look-up,
an exception each, that nothing is there: two fifths of what its tracer takes for a short task. Here what it keeps is
asked directly. What is kept, and by whom, stays as it is, so that whoever looks into it sees no difference.
"""

from __future__ import annotations

from typing import Any

from celery.utils.threads import Local, _LocalStack

#: Celery's ways.
CELERYS_OWN = {
    name: vars(_LocalStack).get(name) for name in ("push", "pop", "top", "stack", "__len__")
}


def look_at_stacks_quickly() -> None:
    """Let Celery's stacks be looked at so, from now on in this process; unless those of the Celery that is installed
    are others, or somebody else has replaced their ways."""
    for name, own in CELERYS_OWN.items():
        if own is None or vars(_LocalStack).get(name) is not own:
            return
    if _is_kept_as_known(_LocalStack()) and _story(_LocalStack()) == _story(QuickStack()):
        for name in CELERYS_OWN:
            setattr(_LocalStack, name, vars(QuickStack)[name])


class QuickStack(_LocalStack):  # type: ignore[misc]  # Celery has no types
    """A stack with these ways alone."""

    def push(self, obj: Any) -> list[Any]:
        """Put it on top; returns all that is there."""
        local = self._local
        storage, ident = local.__storage__, local.__ident_func__()
        own = storage.get(ident)
        if own is None:
            own = storage[ident] = {}
        stack: list[Any] | None = own.get("stack")
        if stack is None:
            stack = own["stack"] = []
        stack.append(obj)
        return stack

    def pop(self) -> Any:
        """Take what is on top; None: nothing was ever there. With the last one goes all that is kept for its
        greenlet."""
        local = self._local
        storage, ident = local.__storage__, local.__ident_func__()
        own = storage.get(ident)
        if own is None or (stack := own.get("stack")) is None:
            return None
        if len(stack) == 1:
            del storage[ident]
            return stack[-1]
        return stack.pop()

    @property
    def top(self) -> Any:
        """What is on top; None: nothing."""
        local = self._local
        own = local.__storage__.get(local.__ident_func__())
        stack = own.get("stack") if own is not None else None
        return stack[-1] if stack else None

    @property
    def stack(self) -> list[Any]:
        """All that is there; the oldest first."""
        local = self._local
        own = local.__storage__.get(local.__ident_func__())
        stack = own.get("stack") if own is not None else None
        return stack if stack is not None else []

    def __len__(self) -> int:
        local = self._local
        own = local.__storage__.get(local.__ident_func__())
        stack = own.get("stack") if own is not None else None
        return len(stack) if stack else 0


def _is_kept_as_known(stack: _LocalStack) -> bool:
    """It has an object that keeps attributes by greenlet, as ``QuickStack`` reads it."""
    local = vars(stack).get("_local")
    return type(local) is Local and set(Local.__slots__) == {"__storage__", "__ident_func__"}


def _story(stack: _LocalStack) -> list[Any]:
    """What a stack says, and what it keeps, while it is filled and emptied."""
    told: list[Any] = []

    def tell(answer: Any) -> None:
        kept = [(ident, dict(own)) for ident, own in stack._local]
        told.append((answer, stack.top, list(stack.stack), len(stack), str(kept)))

    tell(stack.pop())
    for thing in ("a", "b"):
        tell(list(stack.push(thing)))
    tell(stack.pop())
    stack._local.another = 1
    tell(stack.pop())
    stack._local.another = 1
    tell(stack.pop())
    tell(list(stack.push("c")))
    return told
