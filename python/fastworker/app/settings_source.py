"""Where the second layer of ``app.conf`` comes from: a module, an object, a dict, or what an
environment variable names.

Nothing is imported until the settings are read for the first time, so that an application may be
made before its configuration can be imported (Django).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fastworker.app.settings_derived import from_environment
from fastworker.errors import ImproperlyConfigured


def object_loader(source: Any, *, silent: bool = False) -> Callable[[], Mapping[str, Any]]:
    """A loader for ``config_from_object``.

    Args:
        source: A dict, an object whose attributes are settings, a module's name, or
            ``"module:attribute"`` (a dot instead of the colon works when there is no such module).
        silent: A source that cannot be imported counts as empty.

    Raises (the loader, when called):
        ImproperlyConfigured: There is no such module or attribute. An error inside the module comes
            as it is.
    """

    def load() -> Mapping[str, Any]:
        try:
            return as_mapping(import_source(source) if isinstance(source, str) else source)
        except (ImportError, AttributeError, ImproperlyConfigured):
            if silent:
                return {}
            raise

    return load


def environment_loader() -> Mapping[str, Any]:
    """The source of an application that named none: the module in ``FASTWORKER_CONFIG_MODULE`` or
    ``CELERY_CONFIG_MODULE`` (the command line's ``--config``), else nothing.
    """
    name = from_environment("CONFIG_MODULE")
    return as_mapping(import_source(name)) if name else {}


def name_from_envvar(variable: str, *, silent: bool = False) -> str | None:
    """The module that an environment variable names, for ``config_from_envvar``.

    Raises:
        ImproperlyConfigured: It is not set and ``silent`` is False.
    """
    name = os.environ.get(variable)
    if not name and not silent:
        raise ImproperlyConfigured(
            f"the environment variable {variable!r} is not set or empty, and it should name the "
            f"module that holds the settings; try: export {variable}=myproject.celeryconfig"
        )
    return name or None


def as_mapping(source: Any) -> Mapping[str, Any]:
    """An object's attributes as a dict, without private ones and modules; a mapping is copied."""
    if isinstance(source, Mapping):
        return dict(source)
    attributes = ((name, getattr(source, name)) for name in dir(source) if not name.startswith("_"))
    return {name: value for name, value in attributes if not isinstance(value, ModuleType)}


def import_source(path: str) -> Any:
    """Import ``"module"``, ``"module:attribute"`` or ``"module.attribute"``.

    The working directory counts as a place where modules are.

    Raises:
        ImproperlyConfigured: There is no such module or attribute.
    """
    with _working_directory_on_path():
        module, colon, attribute = path.partition(":")
        if not colon and not _is_importable(module):
            module, _, attribute = path.rpartition(".")
        is_file_name = attribute == "py" and not colon
        if not module or is_file_name or not _is_importable(module):
            raise ImproperlyConfigured(_not_found(path))
        found = importlib.import_module(module)
        if not attribute:
            return found
        if not hasattr(found, attribute):
            raise ImproperlyConfigured(
                f"configuration {path!r}: module {module!r} has no attribute {attribute!r}"
            )
        return getattr(found, attribute)


def _is_importable(module: str) -> bool:
    """False when ``module`` or one of its packages is missing; errors inside them come through."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            return False
        raise
    except ValueError:  # an empty or relative name
        return False
    return True


def _not_found(path: str) -> str:
    hint = f"; leave out the suffix: {path[:-3]!r}" if path.endswith(".py") else ""
    return (
        f"configuration module {path!r} was not found: expected the name of a module that can be "
        f"imported, or 'module:attribute'"
        f"{hint or '; is its directory the working directory or on PYTHONPATH?'}"
    )


@contextmanager
def _working_directory_on_path() -> Iterator[None]:
    cwd = os.getcwd()
    if cwd in sys.path:
        yield
        return
    sys.path.insert(0, cwd)
    try:
        yield
    finally:
        if cwd in sys.path:
            sys.path.remove(cwd)
