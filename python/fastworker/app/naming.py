"""Names: of tasks, of this process, and of this client."""

from __future__ import annotations

import os
import sys
from functools import lru_cache


def task_name(main: str | None, name: str, module_name: str | None) -> str:
    """The automatic name of a task: ``module.function``.

    Args:
        main: The application's ``main``, which stands for ``__main__`` so that a script and its
            worker agree.
        name: The function's name.
        module_name: The module it was defined in; None counts as ``__main__``.
    """
    module_name = module_name or "__main__"
    module = sys.modules.get(module_name)
    if module is not None:
        module_name = module.__name__
    if module_name == "__main__" and main:
        return f"{main}.{name}"
    return f"{module_name}.{name}"


@lru_cache(maxsize=1)
def hostname() -> str:
    """The host's name, asked once."""
    return os.uname().nodename


def anonymous_node() -> str:
    """``gen<pid>@<host>``: who published, in the ``origin`` header."""
    return f"gen{os.getpid()}@{hostname()}"


def client_id(owner: object) -> str:
    """The client's id for ``rpc://`` replies: shaped like a version 3 UUID, the same for one object
    in one process.
    """
    import uuid  # 3 ms, and only clients that publish need it

    return str(uuid.uuid3(uuid.NAMESPACE_OID, f"{hostname()}-{os.getpid():x}-{id(owner):x}"))


def qualified_name(target: object) -> str:
    """``module.Class.method`` of a callable, for messages."""
    cls = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(cls, '__module__', '?')}.{getattr(cls, '__qualname__', cls)}"
