"""Whose application a signature is: its own, else that of its parts."""

from __future__ import annotations

from typing import Any

from fastworker.canvas.lazy import LazyList
from fastworker.canvas.nesting import told
from fastworker.canvas.signature import Signature
from fastworker.results.application import current_application


def own_app(sig: Any) -> Any:
    """The application that a signature knows of; None: it would be the current one."""
    if not isinstance(sig, Signature):
        return None
    app, kwargs = sig._app or getattr(sig._type, "app", None), sig.kwargs
    if app is not None:
        return app
    members, body = kwargs.get("header", kwargs.get("tasks")), kwargs.get("body")
    members = getattr(members, "tasks", members)
    if isinstance(members, LazyList):
        members = members[:1] if members.is_complete else [members[0]] if members else []
    if isinstance(members, list | tuple):
        app = next((found for member in members if (found := own_app(member)) is not None), None)
    return app if app is not None or body is None else own_app(body)


def app_of(sig: Any) -> Any:
    """``own_app``, else the current application.

    Raises:
        RecursionError: It is nested too deeply.
    """
    try:
        return own_app(sig) or current_application()
    except RecursionError as exc:
        raise told(exc) from None
