"""Objects by name: ``package.module:attribute`` or ``package.module.attribute``."""

from __future__ import annotations

import importlib
from typing import Any

from fastworker.errors import ImproperlyConfigured


def symbol_by_name(name: Any) -> Any:
    """The object that ``name`` names; anything but text is returned as it is.

    Raises:
        ImproperlyConfigured: There is no such attribute, or no module is named.
        ImportError: The module cannot be imported.
    """
    if not isinstance(name, str):
        return name
    module_name, _, attribute = name.rpartition(":" if ":" in name else ".")
    if not module_name:
        raise ImproperlyConfigured(
            f"{name!r} does not name an object: expected 'package.module:attribute'"
        )
    found = importlib.import_module(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ImproperlyConfigured(f"{name!r}: {module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    return found
