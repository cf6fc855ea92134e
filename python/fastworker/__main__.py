"""``python -m fastworker`` is the ``fastworker`` command."""

from __future__ import annotations

import sys

from fastworker.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
