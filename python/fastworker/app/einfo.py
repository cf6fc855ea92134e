"""What handlers and signal receivers are told of an exception; the name and attributes are
billiard's.
"""

from __future__ import annotations

import traceback


class ExceptionInfo:
    """An exception with its traceback as text.

    Attributes:
        type: Its class.
        exception: Itself.
        traceback: What Python prints for it.
        tb: The traceback object.
    """

    def __init__(self, exc: BaseException) -> None:
        self.type = type(exc)
        self.exception = exc
        self.tb = exc.__traceback__
        self.traceback = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"
