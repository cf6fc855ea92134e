"""The traceback of an error in the user's module, from their first line on.

How the command line came to import the module says nothing to its author, and hides what does.
"""

from __future__ import annotations

import os
import traceback
from types import TracebackType

import fastworker

_OURS = os.path.dirname(os.path.abspath(fastworker.__file__)) + os.sep


def user_traceback(error: BaseException) -> str:
    """The text that Python would print for ``error``, without our frames at its start and the
    import system's.
    """
    lines = traceback.TracebackException(
        type(error), error, _from_user(error.__traceback__), compact=True
    )
    lines.stack = traceback.StackSummary.from_list(
        [frame for frame in lines.stack if not frame.filename.startswith("<frozen importlib")]
    )
    return "".join(lines.format())


def _from_user(link: TracebackType | None) -> TracebackType | None:
    while link is not None and _is_machinery(link.tb_frame.f_code.co_filename):
        link = link.tb_next
    return link


def _is_machinery(file: str) -> bool:
    return (
        file.startswith("<frozen importlib")
        or os.path.abspath(file).startswith(_OURS)
        or file.endswith(os.path.join("importlib", "__init__.py"))
    )
