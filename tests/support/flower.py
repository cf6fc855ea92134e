"""The real Flower on a port of its own, and its HTTP interface."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until
from tests.support.workers import ROOT, WorkerProcess

#: Beside the application; the port is the kernel's choice.
OPTIONS = ("flower", "--address=127.0.0.1", "--port=0", "--logging=info")
#: Flower asks its inspect commands with a time-out of a second; a machine that does other work may need more.
INSPECT_TIMEOUT_MS = 10_000
#: What Flower writes when somebody answers late or not at all, or sends what it cannot read.
_COMPLAINTS = re.compile(r"^\[[EWC] |^\[.*(WARNING|ERROR|CRITICAL)|Traceback", re.MULTILINE)


class Flower(WorkerProcess):
    """Flower as its users start it; a context manager that ends it.

    Args:
        command: ``celery`` or ``fastworker`` and the global options that say which application.
        environment: Added to ours.
        cwd: Where it starts.
        options: Of Flower.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        options: tuple[str, ...] = (f"--inspect-timeout={INSPECT_TIMEOUT_MS}",),
    ) -> None:
        # What needs no password only serves those who say so.
        full = {"FLOWER_UNAUTHENTICATED_API": "true", **(environment or {})}
        super().__init__((*command, *OPTIONS, *options), full, cwd)
        self.url = ""

    def stop(self, timeout_s: float = 30.0) -> int:
        """Kill it: it has nothing to finish, and waits for everything that it has asked."""
        self.kill()
        return self.wait_ended(timeout_s)

    def wait_served(self) -> Flower:
        """Wait until it serves."""
        self.url = self.wait_for_line(r"Visit me at (http://127\.0\.0\.1:\d+)", 60)[1]
        wait_until(lambda: self._answers(), "Flower to answer")
        return self

    @property
    def complaints(self) -> list[str]:
        """Warnings and errors in its log."""
        return [line for line in self.log.splitlines() if _COMPLAINTS.search(line)]

    def get(self, path: str, **query: Any) -> Any:
        """What it answers, read as JSON."""
        return json.loads(self._fetch(f"{path}?{urllib.parse.urlencode(query)}", None)[1])

    def post(self, path: str, **fields: Any) -> tuple[int, str]:
        """Press what a button presses: the status, and the text of the answer."""
        return self._fetch(path, urllib.parse.urlencode(fields).encode())

    def worker(self, node: str) -> dict[str, Any]:
        """All that Flower knows of a worker, asked anew."""
        found: dict[str, Any] = self.get("/api/workers", refresh=1, workername=node)[node]
        return found

    def _answers(self) -> bool:
        try:
            return self._fetch("/api/workers", None)[0] == 200
        except OSError:
            return False

    def _fetch(self, path: str, data: bytes | None) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
