"""What workers of the differential tests load."""

from __future__ import annotations

import json
import os

from tests.differential.tasks import make_app
from tests.support.apps import APP_VARIABLE, AppSpec

app = make_app(AppSpec(**json.loads(os.environ[APP_VARIABLE])))
