"""``self.request`` of Celery's tasks, made with less work.

Each run of a task begins with Celery's ``Context``, which looks for the user's own headers among all that the message
says: it builds the set of some sixty names that are not, and removes one after the other, a tenth of what Celery's
tracer takes for a short task. Here the names are kept, and the common case, that there are none, is one comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app.task import Context

#: Names that are no attributes of ``Context`` and no headers of the user's. Source: ``Context._get_custom_headers``.
_ALSO_CELERYS = ("lang", "task", "argsrepr", "kwargsrepr", "compression")
#: Celery's way to find them, if this version has it.
CELERYS_OWN: Callable[..., dict[str, Any] | None] | None = vars(Context).get("_get_custom_headers")
_SAMPLES: tuple[dict[str, Any], ...] = (
    {},
    {"id": "1", "lang": "py", "task": "t", "argsrepr": "()", "compression": None, "stamps": {}},
    {"id": "1", "mine": None, "delivery_info": {}, "redelivered": True, "meth": "m"},
)


def find_custom_headers_quickly() -> None:
    """Let ``Context`` find them so, from now on in this process; unless the Celery that is installed finds others, or
    somebody else has replaced its way."""
    if CELERYS_OWN is None or vars(Context).get("_get_custom_headers") is not CELERYS_OWN:
        return
    request = Context()
    if all(
        custom_headers(request, given, a=1) == CELERYS_OWN(request, given, a=1)
        for given in _SAMPLES
    ):
        Context._get_custom_headers = custom_headers


def custom_headers(_request: Context, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
    """Those among ``dict(*args, **kwargs)``; None: there are none."""
    given: dict[str, Any] = dict(*args, **kwargs) if args else kwargs
    celerys = _celerys_names(len(vars(Context)))
    if given.keys() <= celerys:
        return None
    return {name: value for name, value in given.items() if name not in celerys}


def _celerys_names(count: int, known: dict[int, frozenset[str]] = {}) -> frozenset[str]:  # noqa: B006
    """All names that are Celery's; ``count``: of attributes of ``Context``, to which extensions may add."""
    names = known.get(count)
    if names is None:
        names = known[count] = frozenset((*vars(Context), *_ALSO_CELERYS))
    return names
