"""``fastworker.accelerate``: a Celery client that keeps its code, and publishes and reads results through us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastworker.hosting.acceleration import Acceleration


def accelerate(app: Any) -> Acceleration:
    """Have a Celery application publish and read results through fastworker's connections, in this process.

    Call it where the application is made, before or after its configuration: nothing is read or connected before the
    first use. Messages, results, signals and errors stay Celery's; what cannot be done faster is done as before.

    Args:
        app: A ``celery.Celery``. One that is accelerated already stays so.

    Returns:
        What was done: ``as_before()`` says what goes in Celery's way all the same and why (also logged at level INFO,
        logger ``fastworker.accelerate``), ``restore()`` undoes it.

    Raises:
        TypeError: ``app`` is no ``celery.Celery``. A ``FastWorker`` publishes like this by itself.
    """
    from celery import Celery

    if not isinstance(app, Celery):
        raise TypeError(
            f"accelerate({app!r}): expected a celery.Celery, not a {type(app).__name__}; an application of fastworker "
            f"needs no acceleration"
        )
    from fastworker.hosting.acceleration import accelerate as switch_on

    return switch_on(app)
