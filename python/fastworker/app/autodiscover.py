"""``autodiscover_tasks``: import ``<package>.tasks`` of every package that has one."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterable
from types import ModuleType

from fastworker.errors import ImproperlyConfigured

Packages = Iterable[str] | Callable[[], Iterable[str]] | None


def autodiscover(packages: Packages, related_name: str | None) -> list[ModuleType]:
    """Import the task modules.

    Args:
        packages: Names of packages, or a function that returns them.
        related_name: Name of the module inside each. None: the packages themselves.

    Returns:
        The modules that were found.

    Raises:
        ImproperlyConfigured: No packages are named and Django's would be meant.
        ImportError: A package does not exist, or a module raises it; a missing ``tasks`` module is
            no error.
    """
    if packages is None and os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ImproperlyConfigured(
            "autodiscover_tasks() without packages takes Django's applications, which this version "
            "of fastworker does "
            "not ask for; try: app.autodiscover_tasks(lambda: [c.name for c in "
            "django.apps.apps.get_app_configs()])"
        )
    names = packages() if callable(packages) else packages or ()
    found = (_import_related(name, related_name) for name in names)
    return [module for module in found if module is not None]


def _import_related(package_name: str, related_name: str | None) -> ModuleType | None:
    try:
        package = importlib.import_module(package_name)
    except ModuleNotFoundError as exc:
        # Django's INSTALLED_APPS names classes too: "shop.apps.ShopConfig".
        parent, _, last = package_name.rpartition(".")
        if not parent or exc.name != package_name or not last[:1].isupper():
            raise
        package = importlib.import_module(parent.rpartition(".")[0] or parent)
    if not related_name:
        return package
    if not hasattr(package, "__path__"):
        return None
    full_name = f"{package.__name__}.{related_name}"
    if importlib.util.find_spec(full_name) is None:
        return None
    return importlib.import_module(full_name)
