"""The tasks of the module that the bench names: the same functions under two names each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine
from typing import Any

from rival_apps import options

_module = importlib.import_module(options.TASKS)

BLOCKING: dict[str, Callable[..., Any]] = _module.BLOCKING
"""Plain functions, for processes, threads, and greenlets (which patch what they call)."""

COROUTINES: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = _module.COROUTINES
"""For event loops."""
