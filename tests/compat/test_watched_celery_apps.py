"""What watches tasks of Celery (error trackers, tracers) and what frameworks bring along sees and does the same in our
worker as in Celery's: the real packages, in one application that both run in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.gate import read_lines
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

HEAD = """
import json, os
from celery import Celery
app = Celery("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])
def note(*facts):
    with open(os.environ["TEST_NOTES"], "a") as notes:
        notes.write(json.dumps(facts) + "\\n")
@app.task
def add(x, y):
    return x + y
@app.task
def fail():
    raise KeyError("it")
@app.task
def publish():
    return add.delay(1, 2).id
"""

CLIENT = """
from proj import *
assert add.delay(1, 2).get(timeout=30) == 3
try:
    fail.delay().get(timeout=30)
except KeyError:
    pass
child = publish.delay().get(timeout=30)
assert app.AsyncResult(child).get(timeout=30) == 3
"""

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport
class Noting(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            event = item.payload.json or {}
            errors = (event.get("exception") or {}).get("values") or [{}]
            note(item.type, event.get("transaction"), errors[-1].get("type"))
    def flush(self, *args, **kwargs):
        pass
sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", transport=Noting, integrations=[CeleryIntegration()],
                traces_sample_rate=1.0)
"""

OPENTELEMETRY = """
from celery.signals import worker_process_init
@worker_process_init.connect(weak=False)
def instrument(**_):
    from opentelemetry import trace
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    class Noting(SpanExporter):
        def export(self, spans):
            for span in spans:
                note(span.name, span.status.status_code.name, span.parent is not None)
            return SpanExportResult.SUCCESS
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Noting()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()
"""

DATADOG = """
os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
import ddtrace
from ddtrace.trace import TraceFilter, tracer
class Noting(TraceFilter):
    def process_trace(self, spans):
        for span in spans:
            note(span.name, span.resource, span.error, span.get_tag("celery.state"))
tracer.configure(trace_processors=[Noting()])
ddtrace.patch(celery=True)
"""


@pytest.mark.parametrize(
    ("watcher", "count"),
    [(SENTRY, 5), (OPENTELEMETRY, 5), (DATADOG, 5)],
    ids=["sentry", "opentelemetry", "ddtrace"],
)
def test_watchers_see_the_same(redis_url: str, tmp_path: Path, watcher: str, count: int) -> None:
    (tmp_path / "proj.py").write_text(HEAD + watcher)
    seen = {}
    for framework in ("celery", "fastworker"):
        notes = tmp_path / framework
        environment = {"TEST_URL": redis_url, "TEST_NOTES": str(notes)}
        line = (command(framework), "-A", "proj", "worker", "-l", "INFO", "-c", "1")
        with WorkerProcess(line, environment, tmp_path) as worker:
            worker.wait_ready()
            _run(CLIENT, tmp_path, {**environment, "TEST_NOTES": os.devnull})
            wait_until(lambda path=notes: len(read_lines(str(path))) >= count, "all notes")
        seen[framework] = Counter(read_lines(str(notes)))
    assert seen["fastworker"] == seen["celery"]


def _run(code: str, folder: Path, environment: dict[str, str]) -> str:
    """Run client code of the project; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DJANGO = {
    "site/__init__.py": "from .celery import app\n",
    "site/settings.py": """
import os
SECRET_KEY = "test"
USE_TZ = True
INSTALLED_APPS = ["django_celery_results", "django_celery_beat", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["TEST_NOTES"] + ".db",
                         "OPTIONS": {"timeout": 20}}}
CELERY_BROKER_URL = os.environ["TEST_URL"]
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_TIME_LIMIT = 30
""",
    "site/celery.py": """
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
app = Celery("site_")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models
class Order(models.Model):
    total = models.IntegerField()
""",
    "shop/tasks.py": """
from celery import shared_task
from shop.models import Order
@shared_task
def order(total):
    return Order.objects.create(total=total).total
@shared_task
def fail():
    Order.objects.get(total=-1)
@shared_task(time_limit=0.5)
def sleep():
    import time
    time.sleep(60)
@shared_task
def add_up(totals):
    return sum(totals)
""",
}

DJANGO_CLIENT = """
import django; django.setup()
from celery import chord
from celery.exceptions import TimeLimitExceeded
from django_celery_results.models import TaskResult
from shop.models import Order
from shop.tasks import add_up, fail, order, sleep
one, failed, slow = order.delay(5), fail.delay(), sleep.delay()
assert one.get(timeout=30) == 5
for result, error in ((failed, Order.DoesNotExist), (slow, TimeLimitExceeded)):
    try:
        result.get(timeout=30)
    except error:
        pass
    else:
        raise AssertionError(result.id)
joined = chord([order.s(1), order.s(2)])(add_up.s())
assert joined.get(timeout=30) == 3
assert sorted(Order.objects.values_list("total", flat=True)) == [1, 2, 5]
rows = TaskResult.objects.filter(task_name__startswith="shop.").order_by("task_name", "result")
print([(row.task_name, row.status, row.task_args if row.status == "SUCCESS" else "") for row in rows])
"""


def test_django_project_runs_with_its_own_results(redis_url: str, tmp_path: Path) -> None:
    for name, text in DJANGO.items():
        path = tmp_path / name.replace("site/", "site_/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shown = {}
    for framework in ("celery", "fastworker"):
        environment = {
            "TEST_URL": redis_url,
            "TEST_NOTES": str(tmp_path / framework),
            "DJANGO_SETTINGS_MODULE": "site_.settings",
        }
        migrate = "from django.core.management import execute_from_command_line as run\n"
        _run(f"{migrate}run(['manage', 'makemigrations', 'shop', '-v0'])", tmp_path, environment)
        _run(f"{migrate}run(['manage', 'migrate', '-v0'])", tmp_path, environment)
        line = (command(framework), "-A", "site_", "worker", "-l", "INFO", "-c", "1")
        with WorkerProcess(line, environment, tmp_path) as worker:
            worker.wait_ready()
            shown[framework] = _run(DJANGO_CLIENT, tmp_path, environment)
    assert shown["fastworker"] == shown["celery"]
    assert shown["celery"].count("SUCCESS") == 4
