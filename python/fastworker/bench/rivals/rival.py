"""One system as its documents advise to run it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

PROCESSES = 2
"""That run tasks, of every system."""

# Starts the same command several times, and passes the request to stop on.
_SEVERAL = """trap 'kill $pids' TERM
for copy in $(seq {copies}); do {command} & pids="$pids $!"; done
wait
wait"""


class Load(Enum):
    """What a system has to be good at; its settings may differ."""

    #: Tasks that are over at once: what costs is the queue.
    QUICK = "quick"
    #: Tasks that wait: as many as possible at once.
    WAITING = "waiting"
    #: Tasks that compute: one for each process.
    COMPUTING = "computing"


@dataclass(frozen=True)
class Setting:
    """How one load is run.

    Attributes:
        command: Command line after the folder of the environment's programs; ``{n}`` is ``concurrency``, ``{broker}``
            the URL.
        concurrency: Tasks at once in one process, or fetched at once.
        copies: How often the command is started, where it is one process.
        environment: For worker and client.
    """

    command: str
    concurrency: int
    copies: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    def worker_command(self, programs: Path, broker: str) -> list[str]:
        """The command line of the worker, or of a shell that starts it several times.

        Args:
            programs: The folder of the environment's programs.
            broker: URL.
        """
        filled = self.command.format(n=self.concurrency, processes=PROCESSES, broker=broker)
        words = shlex.split(filled)
        words[0] = str(programs / words[0])
        if self.copies == 1:
            return words
        return ["sh", "-c", _SEVERAL.format(copies=self.copies, command=shlex.join(words))]


@dataclass(frozen=True)
class Rival:
    """One system.

    Attributes:
        name: As tables show it.
        project: The name of its lock file, and what ``--only`` may say for all systems of it; ``fastworker`` is ours,
            in the interpreter that runs the bench.
        distribution: Whose version counts.
        module: Of ``rival_apps``.
        settings: By load; one that is missing it has no way to run.
        acks_late: Acknowledge after the run.
        broker: ``redis`` or ``postgres``.
        oldest_python: That it runs on.
        prepare: A command line that makes its tables; ``{broker}`` is the URL.
        refuses: Why a load has no setting, where that is the system's nature.
    """

    name: str
    project: str
    distribution: str
    module: str
    settings: Mapping[Load, Setting]
    acks_late: bool = True
    broker: str = "redis"
    oldest_python: tuple[int, int] = (3, 10)
    prepare: str = ""
    refuses: Mapping[Load, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """fastworker."""
        return self.project == "fastworker"

    @property
    def guarantee(self) -> str:
        """What the acknowledgement promises."""
        return "at least once" if self.acks_late else "at most once"
