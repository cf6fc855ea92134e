"""How a log record becomes a line: Celery's text with colour, or one JSON object."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

_RESET = "\033[0m"
_COLOURS = {
    "DEBUG": "\033[1;34m",
    "WARNING": "\033[1;33m",
    "ERROR": "\033[1;31m",
    "CRITICAL": "\033[1;35m",
}
_UNKNOWN = "???"

#: The lane that this process runs the tasks of; None: it has none, or serves all.
_lane: str | None = None


def enter_lane(name: str | None) -> None:
    """Lines of this process are a lane's from now on."""
    global _lane
    _lane = name


def _lane_of(record: logging.LogRecord) -> str | None:
    """The lane a record is about: of this process, or named by ``extra={"worker_lane": …}``."""
    return _lane or record.__dict__.get("worker_lane")


class TextFormatter(logging.Formatter):
    """The format given, coloured by level when asked."""

    def __init__(self, fmt: str | None, datefmt: str | None, is_coloured: bool) -> None:
        super().__init__(fmt, datefmt)
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line of ``record``, its traceback included."""
        line = self._line(record)
        colour = _COLOURS.get(record.levelname) if self._is_coloured else None
        return f"{colour}{line}{_RESET}" if colour else line

    def _line(self, record: logging.LogRecord) -> str:
        """A lane is shown behind the process: ``MainProcess/io``."""
        lane = _lane_of(record)
        if lane is None:
            return super().format(record)
        process = record.processName
        record.processName = f"{process}/{lane}"
        try:
            return super().format(record)
        finally:
            # Others format the record too.
            record.processName = process


class TaskTextFormatter(TextFormatter):
    """The same for task loggers: ``%(task_id)s`` and ``%(task_name)s`` are those of the task that
    logs.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line; outside of a task the fields are ``???``, as in Celery."""
        task_id, task_name = running_task()
        if task_id is not None:
            record.__dict__.update(task_id=task_id, task_name=task_name)
        else:
            record.__dict__.setdefault("task_id", _UNKNOWN)
            record.__dict__.setdefault("task_name", _UNKNOWN)
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, process, message; lane, task_id,
    task_name and exc when there are any.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line; a value that has no JSON form is written as its ``str``."""
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": record.getMessage(),
        }
        lane = _lane_of(record)
        if lane is not None:
            line["lane"] = lane
        task_id, task_name = _task_of(record)
        if task_id is not None:
            line.update(task_id=task_id, task_name=task_name)
        if record.exc_info:
            line["exc"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def running_task() -> tuple[str | None, str | None]:
    """``(id, name)`` of the task that runs in this context, ``(None, None)`` outside of one."""
    from fastworker.app.state import get_current_task

    task = get_current_task()
    if task is None or not task.request.id:
        return None, None
    return task.request.id, task.name


def _task_of(record: logging.LogRecord) -> tuple[str | None, str | None]:
    """The task a record is about: named by ``extra``, by the arguments of the worker's own lines,
    or running.
    """
    facts = record.__dict__
    if "task_id" in facts:
        return facts["task_id"], facts.get("task_name")
    about = record.args if isinstance(record.args, dict) else facts.get("data")
    if isinstance(about, dict) and "id" in about and ("task" in about or "name" in about):
        return about["id"], about.get("task", about.get("name"))
    return running_task()
