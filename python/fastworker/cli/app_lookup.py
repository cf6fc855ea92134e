"""From what ``-A`` names to the application.

``-A proj`` is looked for as: the attribute ``proj:app`` or ``proj:celery``; the submodule
``proj.celery`` or ``proj.fastworker``; the first application among the module's attributes. ``-A
proj:name`` and ``-A proj.name`` say it exactly. The working directory counts as a place where
modules are.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_ATTRIBUTES = ("app", "celery")
_SUBMODULES = ("celery", "fastworker")


class AppNotFound(ImproperlyConfigured):
    """There is no application where ``-A`` points; the text says where we looked."""


class AppImportFailed(ImproperlyConfigured):
    """The user's module raised while it was imported; that error is the ``__cause__``."""


def find_app(spec: str) -> FastWorker:
    """The application that ``spec`` names.

    Args:
        spec: ``module``, ``module:attribute`` or ``module.attribute``.

    Raises:
        AppNotFound: There is none.
        AppImportFailed: A module could not be imported because of what is in it.
    """
    put_working_directory_on_path()
    if ":" in spec:
        module, _, attribute = spec.partition(":")
        return _checked(spec, _attribute(spec, _import(spec, module), attribute))
    found = _by_attribute(spec) if "." in spec else None
    if found is None:
        found = _in_module(spec, _import(spec, spec))
    return _checked(spec, found)


def put_working_directory_on_path() -> None:
    """A console script's ``sys.path`` begins with its own directory instead of the user's."""
    cwd = os.getcwd()
    if cwd not in sys.path and "" not in sys.path:
        sys.path.insert(0, cwd)


# -------------------------------------------------------------------------------------------- steps


def _by_attribute(spec: str) -> Any:
    """``a.b`` as attribute ``b`` of module ``a``; None when it is a module or nothing."""
    module, _, attribute = spec.rpartition(".")
    if not module or not _exists(module):
        return None
    found = getattr(_import(spec, module), attribute, None)
    return None if isinstance(found, ModuleType) else found


def _in_module(spec: str, module: ModuleType) -> Any:
    for name in _ATTRIBUTES:
        found = getattr(module, name, None)
        if _is_app(found) or _is_celerys(found):
            return found
    if hasattr(module, "__path__"):
        for name in _SUBMODULES:
            full = f"{module.__name__}.{name}"
            if _exists(full):
                return _in_module(spec, _import(spec, full))
    for found in vars(module).values():
        if _is_app(found) or _is_celerys(found):
            return found
    looked = ", ".join(
        [f"{spec}:{name}" for name in _ATTRIBUTES] + [f"{spec}.{n}" for n in _SUBMODULES]
    )
    raise AppNotFound(
        f"no application in {spec!r} ({_place(module)}): looked for {looked} and any FastWorker "
        f"among its attributes; make one with: app = FastWorker({spec!r}), or name it: "
        f"-A {spec}:name"
    )


def _attribute(spec: str, module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise AppNotFound(
                f"no application {spec!r}: {module.__name__} ({_place(module)}) has no attribute "
                f"{name!r}{did_you_mean(name, _public(found))}"
            )
        found = getattr(found, name)
    return found


def _checked(spec: str, found: Any) -> FastWorker:
    if _is_celerys(found):
        from fastworker.hosting import HostedApp

        return HostedApp(found)
    if not _is_app(found):
        raise AppNotFound(f"{spec!r} is a {type(found).__name__}, and a FastWorker was expected")
    app: FastWorker = found
    return app


def _is_app(found: Any) -> bool:
    from fastworker.app.app import FastWorker

    return isinstance(found, FastWorker)


def _is_celerys(found: Any) -> bool:
    # Not imported for the check: Celery need not be installed, and when it is, importing it is
    # slow.
    return any(
        f"{cls.__module__}.{cls.__qualname__}" == "celery.app.base.Celery"
        for cls in type(found).__mro__
    )


# ---------------------------------------------------------------------------------------- importing


def _import(spec: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if _is_part(error.name, name):
            raise AppNotFound(_module_not_found(spec, error.name or name)) from None
        raise AppImportFailed(
            f"cannot import {name!r} for -A {spec}: {_missing_hint(error)}"
        ) from error
    except (TypeError, ValueError) as error:
        if not name or name.startswith("."):
            raise AppNotFound(
                f"-A {spec!r}: expected module, module:attribute or package.module"
            ) from None
        raise AppImportFailed(_import_failed(spec, name, error)) from error
    except Exception as error:
        raise AppImportFailed(_import_failed(spec, name, error)) from error


def _exists(name: str) -> bool:
    """The module can be found; its packages are imported for that."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if _is_part(error.name, name):
            return False
        raise AppImportFailed(f"cannot import {name!r}: {_missing_hint(error)}") from error
    except (ValueError, ImportError):
        return name in sys.modules
    except Exception as error:
        raise AppImportFailed(_import_failed(name, name, error)) from error


def _is_part(missing: str | None, name: str) -> bool:
    return bool(missing) and (name == missing or name.startswith(f"{missing}."))


def _import_failed(spec: str, name: str, error: Exception) -> str:
    return f"cannot import {name!r} for -A {spec}: fix the {type(error).__name__} above"


def _missing_hint(error: ModuleNotFoundError) -> str:
    return f"it needs the module {error.name!r}, which is not installed or not on PYTHONPATH"


def _module_not_found(spec: str, missing: str) -> str:
    return (
        f"no module {missing!r} for -A {spec}: looked in {os.getcwd()!r} and on PYTHONPATH; start "
        f"in the project's directory or give --workdir{did_you_mean(missing, _modules_here())}"
    )


def _modules_here() -> Iterator[str]:
    for entry in sorted(Path.cwd().iterdir()):
        if entry.suffix == ".py" or (entry / "__init__.py").exists():
            yield entry.stem


def _public(found: Any) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]


def _place(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or "a namespace package")
