"""Celery's public path for task loggers: ``from fastworker.utils.log import get_task_logger``."""

from __future__ import annotations

import logging

_RESERVED = frozenset({"fastworker", "fastworker.task", "celery", "celery.task"})

base_logger = logging.getLogger("fastworker")
task_logger = logging.getLogger("fastworker.task")


def get_logger(name: str) -> logging.Logger:
    """The logger called ``name``; one at the top of the tree is put below ``fastworker``."""
    logger = logging.getLogger(name)
    if (
        logger.parent is not None
        and logger.parent is not logging.root
        and logger is not base_logger
    ):
        _put_below(base_logger, logger)
    return logger


def get_task_logger(name: str) -> logging.Logger:
    """The logger of a task module, below ``fastworker.task``: its lines carry the task's name and
    id.

    Raises:
        RuntimeError: The name is one of fastworker's own.
    """
    if name in _RESERVED:
        raise RuntimeError(f"Logger name {name!r} is reserved!")
    return _put_below(task_logger, logging.getLogger(name))


def _put_below(parent: logging.Logger, logger: logging.Logger) -> logging.Logger:
    ancestor: logging.Logger | None = logger
    while ancestor is not None:
        if ancestor is parent:
            return logger
        ancestor = ancestor.parent
    logger.parent = parent
    return logger


__all__ = ["base_logger", "get_logger", "get_task_logger", "task_logger"]
