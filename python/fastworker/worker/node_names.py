"""Names of worker nodes, ``name@host``, and the abbreviations that stand for their parts.

``%h`` the host, ``%n`` the host's first label (in file names: the name before the ``@``), ``%d``
the rest of the host, ``%p`` the whole node name, ``%i`` a child's number (0 in the parent), ``%I``
the same with a dash (nothing in the parent), ``%%`` a percent sign.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from fastworker.errors import ImproperlyConfigured

DEFAULT_NAME = "fastworker"

_ABBREVIATION = re.compile(r"%(.)")


def node_name(text: str | None, host: str | None = None) -> str:
    """The name of this node.

    Args:
        text: What ``--hostname`` says: ``name@host``, where both may hold abbreviations, or only
            the host, as in Celery. None: ``fastworker@%h``.
        host: Stands for ``%h``; None asks the system.
    """
    host = host or socket.gethostname()
    name, at, own_host = (text or "").rpartition("@")
    full = f"{(name if at else '') or DEFAULT_NAME}@{own_host or '%h'}"
    label, _, domain = host.partition(".")
    return _expand(full, {"h": host, "n": label, "d": domain}, "--hostname")


def file_name(template: str, node: str, child: int | None = None) -> str:
    """A file name (``--logfile``, ``--pidfile``) with its abbreviations expanded.

    Args:
        template: As the user wrote it.
        node: The node's name.
        child: Number of the child process from 1; None in the parent.
    """
    name, _, host = node.partition("@")
    parts = {
        "n": name,
        "h": host,
        "d": host.partition(".")[2],
        "p": node,
        "i": str(child or 0),
        "I": f"-{child}" if child else "",
    }
    return _expand(template, parts, "file name")


def is_per_child(template: str) -> bool:
    """The file name is another one in each child."""
    return any(letter in "iI" for letter in _ABBREVIATION.findall(template))


def _expand(template: str, parts: Mapping[str, str], what: str) -> str:
    def part(found: re.Match[str]) -> str:
        letter = found[1]
        if letter == "%":
            return "%"
        if letter not in parts:
            known = ", ".join(f"%{name}" for name in parts)
            raise ImproperlyConfigured(
                f"{what} {template!r} has %{letter}, which stands for nothing: "
                f"expected {known} or %%"
            )
        return parts[letter]

    return _ABBREVIATION.sub(part, template)
