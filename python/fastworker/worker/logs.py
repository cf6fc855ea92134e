"""The worker's logging, set up once per process, with Celery's formats, settings and signals.

Who decides: a receiver of ``setup_logging`` (then nothing here happens), else
``worker_hijack_root_logger`` (True: the root logger's handlers are replaced). Receivers of
``after_setup_logger`` and ``after_setup_task_logger`` may then change what was made. Everything
that reads a format or a level reads it from ``app.conf``.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any

from fastworker import signals
from fastworker.worker.log_format import (
    JsonFormatter,
    TaskTextFormatter,
    TextFormatter,
    enter_lane,
)
from fastworker.worker.log_redirect import redirect_stdouts
from fastworker.worker.node_names import file_name, is_per_child

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

TASK_LOGGER = "fastworker.task"
REDIRECTED_LOGGER = "fastworker.redirected"

# Messages that third parties send to these loggers must not appear twice when the root logger is
# hijacked.
_OURS = ("fastworker", TASK_LOGGER, REDIRECTED_LOGGER)


@dataclass(frozen=True)
class LogPlan:
    """Where lines go and how they look.

    Attributes:
        level: As in ``logging``.
        file: Path with its abbreviations still in it; None: standard error.
        node: The node's name, for the abbreviations.
        style: ``text`` or ``json``.
        is_coloured: Colour text lines.
    """

    level: int
    file: str | None
    node: str
    style: str
    is_coloured: bool

    def path(self, child: int | None = None) -> str | None:
        """The log file of this process; ``child`` as for ``node_names.file_name``."""
        return None if self.file is None else file_name(self.file, self.node, child)


def set_up(
    app: FastWorker,
    node: str,
    *,
    loglevel: int,
    logfile: str | None = None,
    style: str | None = None,
    no_color: bool = False,
    redirects: bool = True,
) -> LogPlan | None:
    """Set up logging in this process.

    Args:
        app: Its settings say how lines look.
        node: The node's name.
        loglevel: As in ``logging``.
        logfile: See ``LogPlan.file``.
        style: ``text`` or ``json``; None: the setting ``worker_log_style``.
        no_color: Never colour.
        redirects: Obey the setting ``worker_redirect_stdouts``.

    Returns:
        What was set up, to be given to ``enter_child``; None when a receiver of ``setup_logging``
        did it.

    Raises:
        OSError: The log file cannot be opened.
    """
    conf = app.conf
    plan = LogPlan(
        level=loglevel,
        file=logfile,
        node=node,
        style=style or conf.worker_log_style,
        is_coloured=_is_coloured(conf.worker_log_color, logfile, no_color),
    )
    logging.captureWarnings(True)
    if _is_handled_by_user(plan, conf.worker_log_format):
        return None
    if conf.worker_hijack_root_logger:
        for name in (None, *_OURS):
            _drop_handlers(logging.getLogger(name))
    _set_up_root(plan, conf)
    _set_up_tasks(plan, conf)
    if redirects and conf.worker_redirect_stdouts:
        redirect_stdouts(
            logging.getLogger(REDIRECTED_LOGGER), level_of(conf.worker_redirect_stdouts_level)
        )
    return plan


def enter_child(plan: LogPlan | None, child: int, lane: str | None = None) -> None:
    """In a fresh child: open its own log file when the name has ``%i`` or ``%I`` in it.

    Args:
        plan: What ``set_up`` returned in the parent.
        child: The child's number from 1.
        lane: The lane whose tasks it runs, which its lines name.
    """
    enter_lane(lane)
    if plan is None or plan.file is None or not is_per_child(plan.file):
        return
    for name in (None, TASK_LOGGER):
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            if isinstance(old, WatchedFileHandler) and old.baseFilename == _absolute(plan.path()):
                fresh = _handler(plan.path(child), old.formatter)
                logger.removeHandler(old)
                logger.addHandler(fresh)
                old.close()


def level_of(level: int | str) -> int:
    """A level's number; names in any case."""
    if isinstance(level, int):
        return level
    number: Any = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise ValueError(f"log level {level!r}: expected DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return number


# ------------------------------------------------------------------------------------------- parts


def _is_handled_by_user(plan: LogPlan, format: str) -> bool:
    answers = signals.setup_logging.send(
        sender=None,
        loglevel=plan.level,
        logfile=plan.path(),
        format=format,
        colorize=plan.is_coloured,
    )
    for _, answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return bool(answers)


def _set_up_root(plan: LogPlan, conf: Any) -> None:
    root = logging.getLogger()
    if not _has_handler(root):
        formatter = _formatter(plan, TextFormatter, conf.worker_log_format, conf.worker_log_datefmt)
        root.addHandler(_handler(plan.path(), formatter))
    root.setLevel(plan.level)
    signals.after_setup_logger.send(
        sender=None,
        logger=root,
        loglevel=plan.level,
        logfile=plan.path(),
        format=conf.worker_log_format,
        colorize=plan.is_coloured,
    )


def _set_up_tasks(plan: LogPlan, conf: Any) -> None:
    logger = logging.getLogger(TASK_LOGGER)
    if not _has_handler(logger):
        formatter = _formatter(
            plan, TaskTextFormatter, conf.worker_task_log_format, conf.worker_task_log_datefmt
        )
        logger.addHandler(_handler(plan.path(), formatter))
    logger.setLevel(plan.level)
    logger.propagate = False
    signals.after_setup_task_logger.send(
        sender=None,
        logger=logger,
        loglevel=plan.level,
        logfile=plan.path(),
        format=conf.worker_task_log_format,
        colorize=plan.is_coloured,
    )


def _formatter(
    plan: LogPlan, text: type[TextFormatter], fmt: str, datefmt: str | None
) -> logging.Formatter:
    return JsonFormatter() if plan.style == "json" else text(fmt, datefmt, plan.is_coloured)


def _handler(path: str | None, formatter: logging.Formatter | None) -> logging.Handler:
    handler = (
        logging.StreamHandler(sys.__stderr__)
        if path is None
        else WatchedFileHandler(path, encoding="utf-8")
    )
    handler.setFormatter(formatter)
    return handler


def _is_coloured(setting: bool | None, logfile: str | None, no_color: bool) -> bool:
    if no_color or setting is False or logfile is not None:
        return False
    return sys.__stderr__ is not None and sys.__stderr__.isatty()


def _drop_handlers(logger: logging.Logger) -> None:
    logger.handlers[:] = []


def _has_handler(logger: logging.Logger) -> bool:
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
