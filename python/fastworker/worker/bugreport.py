"""What a bug report needs to say: versions, platform and settings. No secrets."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastworker import _core

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

_LIBRARIES = ("click", "orjson", "rich", "celery", "kombu", "redis")


def report_facts(app: FastWorker, with_defaults: bool) -> dict[str, Any]:
    """The report for programs: versions by name, the places, and the settings with secrets masked."""
    from fastworker.app.masking import mask_url

    versions = (_version_of(name).split() for name in _LIBRARIES)
    return {
        "fastworker": _core.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "libraries": dict(filter(None, versions)),
        "app": app.main,
        "broker": mask_url(app.broker_url),
        "results": mask_url(app.results_kept_at) if app.results_kept_at else None,
        "settings": app.conf.table(with_defaults=with_defaults),
        "unapplied": app.unapplied(),
    }


def report_lines(app: FastWorker, with_defaults: bool) -> Iterator[str]:
    """The report, line by line."""
    from fastworker.app.masking import mask_url
    from fastworker.app.settings_check import check
    from fastworker.errors import ImproperlyConfigured
    from fastworker.worker.cores import choose_concurrency

    yield from _software()
    yield f"app         {app.main or 'unnamed'}"
    yield f"broker      {mask_url(app.broker_url)}  ({app.broker_url_reason})"
    yield f"results     {mask_url(app.results_kept_at) if app.results_kept_at else 'not stored'}"
    yield from ("", "[settings]")
    table = app.conf.table(with_defaults=with_defaults)
    for name in sorted(table):
        yield f"{name}: {table[name]!r}"
    yield from ("", "[remarks]")
    try:
        check(app.conf)
        chosen = choose_concurrency(None, app.conf.worker_concurrency)
        yield f"a worker here runs {chosen.count} processes ({chosen.reason})"
    except ImproperlyConfigured as error:
        yield from str(error).splitlines()
    yield from app.unapplied()
    yield from app.framework_report()


def _software() -> Iterator[str]:
    yield f"fastworker  {_core.__version__}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield f"python      {python} at {sys.executable}"
    yield f"platform    {platform.platform()}, {os.cpu_count()} cores"
    yield "libraries   " + ", ".join(filter(None, map(_version_of, _LIBRARIES)))


def _version_of(name: str) -> str:
    from importlib import metadata

    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return ""
