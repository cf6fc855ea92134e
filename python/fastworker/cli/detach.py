"""``--detach``: the same command again as a daemon, without a terminal.

What can be told at once is told where the user is: the application is imported and the pidfile looked at before. Then
the process leaves its session and starts the command anew, so that nothing of this one lives on in the daemon.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fastworker.errors import ImproperlyConfigured

_NAMES = ("-D", "--detach")
#: A variable that says it too would detach the daemon again.
_VARIABLES = tuple(
    f"{prefix}_{command}_DETACH"
    for prefix in ("FASTWORKER", "CELERY")
    for command in ("WORKER", "EVENTS")
)


def without_detach(arguments: Sequence[str]) -> list[str]:
    """A command line that stays in the foreground."""
    return [word for word in arguments if word not in _NAMES]


def detach(arguments: Sequence[str], workdir: str, logfile: str | None) -> int:
    """Start ``fastworker`` as a daemon; returns in the process that was asked.

    Args:
        arguments: Those of the command that was given.
        workdir: Where it was given.
        logfile: Gets what the daemon prints; None: nowhere.

    Returns:
        Exit status.

    Raises:
        ImproperlyConfigured: The log file cannot be written.
    """
    try:
        output = os.open(logfile or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise ImproperlyConfigured(
            f"logfile {logfile!r} cannot be written: {error.strerror}"
        ) from error
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(output)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    os.setsid()
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for name in _VARIABLES:
        os.environ.pop(name, None)
    os.chdir(workdir)
    os.execv(sys.executable, [sys.executable, "-m", "fastworker", *without_detach(arguments)])
