"""Error trackers and tracers see the calls of an accelerated client as they see those of any: the real packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport
class Nowhere(Transport):
    def capture_envelope(self, envelope): pass
    def flush(self, *args, **kwargs): pass
sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", transport=Nowhere, integrations=[CeleryIntegration()],
                default_integrations=False, traces_sample_rate=1.0)
def around(call):
    with sentry_sdk.start_transaction(name="page") as transaction:
        call()
        print(sorted((span.op, span.description) for span in transaction._span_recorder.spans[1:]))
"""
OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
CeleryInstrumentor().instrument()
def around(call):
    spans.clear()
    call()
    print(sorted((span.name, sorted(span.attributes)) for span in spans.get_finished_spans()))
"""
DDTRACE = """
from ddtrace.trace import tracer, TraceFilter
seen = []
class Noting(TraceFilter):
    def process_trace(self, trace):
        seen.extend((span.name, span.resource) for span in trace)
        return None
tracer.configure(trace_processors=[Noting()])
from ddtrace import patch
patch(celery=True)
def around(call):
    seen.clear()
    call()
    print(sorted(seen))
"""
CLIENT = """
import base64, json, redis
from celery import Celery, group
app = Celery("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])
@app.task
def add(x, y): return x + y
if sys.argv[1] == "accelerated":
    import fastworker
    fastworker.accelerate(app)
for _ in range(2):
    add.delay(0, 0)
for call in (lambda: add.delay(1, 2), lambda: app.send_task("proj.other"), lambda: group([add.s(1, 2)])()):
    client = redis.Redis.from_url(os.environ["TEST_URL"])
    client.delete("celery")
    around(call)
    for raw in client.lrange("celery", 0, -1):
        print(sorted(json.loads(raw)["headers"]))
"""


@pytest.mark.parametrize(
    "tracker", [SENTRY, OPENTELEMETRY, DDTRACE], ids=["sentry", "otel", "ddtrace"]
)
@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
def test_trackers_see_the_same(redis_url: str, tmp_path: Path, tracker: str, is_late: bool) -> None:
    script = tmp_path / "client.py"
    parts = CLIENT.partition("for _ in range(2):")
    body = [parts[0], tracker, parts[1] + parts[2]] if is_late else [tracker, CLIENT]
    script.write_text("import os, sys\n" + "".join(body))
    environment = {**os.environ, "TEST_URL": redis_url, "DD_TRACE_STARTUP_LOGS": "false"}
    said = [
        subprocess.run(
            [sys.executable, str(script), how],
            env=environment,
            check=True,
            text=True,
            capture_output=True,
        ).stdout
        for how in ("plain", "accelerated")
    ]
    assert said[0].count("\n") == 6
    assert said[1] == said[0]
