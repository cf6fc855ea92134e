"""Publishes numbered tasks and notes each confirmed step, so that its successor goes on where it
was killed.

usage: ``python -m tests.stress.publisher FOLDER TOTAL PAUSE_S`` with ``TEST_APP`` set. In FOLDER:
``effects/`` for the tasks, ``confirmed`` and ``repeated`` of the publisher. A step that failed, or
that nobody noted because the process died, is published again: at least once, like everything else
here; ``repeated`` has every number that may have been published twice.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

from tests.stress.numbers import WIDTH, make_app, publish, steps, write_number
from tests.support.apps import APP_VARIABLE, AppSpec


def main(folder: Path, total: int, pause_s: float) -> None:
    """Publish what is not confirmed yet."""
    spec = AppSpec(**json.loads(os.environ[APP_VARIABLE]))
    app = make_app(spec)
    if spec.framework == "celery":
        from kombu.exceptions import OperationalError
    else:
        from fastworker.exceptions import OperationalError
    confirmed = folder / "confirmed"
    done = confirmed.stat().st_size // WIDTH if confirmed.exists() else 0
    effects = str(folder / "effects")
    is_first = done > 0
    for index, (kind, number) in enumerate(itertools.islice(steps(total), done, None), done):
        if is_first:
            # The one that was killed may have published it.
            if kind != "revoke":
                write_number(folder / "repeated", number)
            is_first = False
        while True:
            try:
                publish(app, kind, number, effects)
                break
            except OperationalError:
                if kind != "revoke":
                    write_number(folder / "repeated", number)
        write_number(confirmed, index)
        time.sleep(pause_s)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
