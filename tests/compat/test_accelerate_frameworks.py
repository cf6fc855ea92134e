"""Accelerated clients in what a program may be made of: greenlets, Django and its transactions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

GREENLETS = """
from gevent import monkey
monkey.patch_all()
import os
import fastworker
from celery import Celery
app = Celery("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])
acceleration = fastworker.accelerate(app)
print(*acceleration.as_before(), sep="\\n")
result = app.send_task("proj.any")
app.backend.store_result(result.id, 42, "SUCCESS")
print(result.get(timeout=20))
"""

SETTINGS = """
import os
SECRET_KEY = "key"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}
CELERY_BROKER_URL = CELERY_RESULT_BACKEND = os.environ["TEST_URL"]
"""

DJANGO = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django, redis
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from celery import Celery
import fastworker
app = Celery("proj")
fastworker.accelerate(app)
app.config_from_object("django.conf:settings", namespace="CELERY")
django.setup()
@app.task
def add(x, y):
    return x + y
client = redis.Redis.from_url(settings.CELERY_BROKER_URL)
def waiting():
    return client.llen("celery")
add.delay(0, 0), add.delay(0, 0)
print(waiting())
with transaction.atomic():
    add.delay_on_commit(1, 2)
    print(waiting())
print(waiting())
try:
    with transaction.atomic():
        add.delay_on_commit(1, 2)
        raise KeyError
except KeyError:
    print(waiting())
with override_settings(CELERY_TASK_ALWAYS_EAGER=True):
    print(add.delay(1, 2).get(), waiting())
print(type(app.send_task).__name__, len(app.send_task._lanes))
"""


def said(folder: Path, url: str, script: str) -> list[str]:
    """What a script prints."""
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "client.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "client.py"],
        cwd=folder,
        env={**os.environ, "TEST_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_greenlets_keep_celerys_way(redis_url: str, tmp_path: Path) -> None:
    publishing, reading, value = said(tmp_path, redis_url, GREENLETS)
    assert publishing.startswith("publishing is not accelerated: gevent is at work")
    assert reading.startswith("reading results is not accelerated: greenlets")
    assert value == "42"


def test_django_publishes_when_its_transaction_ends(redis_url: str, tmp_path: Path) -> None:
    assert said(tmp_path, redis_url, DJANGO) == ["2", "2", "3", "3", "3 3", "QuickSend 1"]
