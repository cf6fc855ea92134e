"""How composed signatures are shown: as they would be written, the first task's module left out of the rest."""

from __future__ import annotations

import re
from typing import Any

from fastworker.canvas.kinds import is_chain

#: Longest text of what a ``map`` goes through.
_LONGEST = 100


def of_chain(chain: Any) -> str:
    """``a(1, 2) | b(3)``."""
    if not chain.tasks:
        return f"<{type(chain).__name__}@{id(chain):#x}: empty>"
    return _without_repeating(chain.tasks[0]["task"], " | ".join(map(repr, chain.tasks)))


def of_group(group: Any) -> str:
    """``group([a(1), a(2)])``."""
    if not group.tasks:
        return "group(<empty>)"
    return _without_repeating(group.tasks[0]["task"], f"group({group.tasks!r})")


def of_chord(chord: Any) -> str:
    """``%body([members])``."""
    body = chord.body
    if not body:
        return f"<chord without body: {chord.tasks!r}>"
    if is_chain(body):
        first, *rest = body.tasks
        text = " | ".join([first.reprcall(chord.tasks), *map(repr, rest)])
        return _without_repeating(first["task"], f"%({text})")
    return "%" + _without_repeating(body["task"], body.reprcall(chord.tasks))


def of_map(sig: Any, call: str) -> str:
    """``[task(x) for x in items]``."""
    text = repr(sig.kwargs["it"])
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return f"[{sig.kwargs['task']['task']}({call}) for x in {text}]"


def _without_repeating(task: str, text: str) -> str:
    """Celery's ``remove_repeating_from_task``: the module is written once."""
    module = str(task).rpartition(".")[0]
    if not module:
        return text
    name = re.compile(rf"(?<![\w.-]){re.escape(module)}\.")
    first = name.search(text)
    return text if first is None else text[: first.end()] + name.sub("", text[first.end() :])
