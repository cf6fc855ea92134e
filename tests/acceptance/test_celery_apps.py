"""Projects whose application is Celery's own: our worker runs them unchanged, and real Celery is the client.

That such a worker does what Celery's does is shown by the other acceptance tests, which the suite runs a second time
with a Celery application (``make test-hosted``). Here is what only shows in a project's own code.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, exceptions, group
from celery.result import AsyncResult

from tests.support.gate import Gate, read_lines
from tests.support.rabbitmq import VirtualHost
from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="has both of them already")

TIMEOUT_S = 20

HEAD = """
import os, time
from celery import Celery, Task, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
app = Celery("proj", broker=os.environ["TEST_URL"], backend=os.environ["TEST_BACKEND"])

def note(text):
    with open(os.environ["TEST_NOTES"], "a") as notes:
        notes.write(text + "\\n")

@app.task
def add(x, y):
    return x + y
"""


class Project:
    """A folder with one module ``proj``, Celery's client for it, and the workers it starts."""

    def __init__(self, folder: Path, url: str, backend: str, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.environment = {
            "TEST_URL": url,
            "TEST_BACKEND": backend,
            "TEST_NOTES": str(self.notes),
        }
        self.app = Celery("proj", broker=url, backend=backend, set_as_current=False)
        self._stack = stack
        stack.callback(self.app.close)

    def worker(self, source: str, *options: str) -> WorkerProcess:
        """Write the module and start a worker of ours for it."""
        (self.folder / "proj.py").write_text(HEAD + source)
        line = (command("fastworker"), "-A", "proj", "worker", "-l", "INFO", "-c", "1", *options)
        started = WorkerProcess(line, self.environment, self.folder)
        return self._stack.enter_context(started).wait_ready()

    def call(self, name: str, *args: Any, **options: Any) -> AsyncResult:
        """Publish a call of ``proj.<name>`` with Celery."""
        return self.app.send_task(f"proj.{name}", args, **options)

    def noted(self) -> list[str]:
        """What tasks and hooks have noted."""
        return read_lines(str(self.notes))


@pytest.fixture
def project(redis_url: str, tmp_path: Path) -> Iterator[Project]:
    with contextlib.ExitStack() as stack:
        yield Project(tmp_path, redis_url, redis_url, stack)


@pytest.fixture
def filed(redis_url: str, tmp_path: Path) -> Iterator[Project]:
    """One whose results are in files, which a backend of Celery's writes."""
    (tmp_path / "results").mkdir()
    with contextlib.ExitStack() as stack:
        yield Project(tmp_path, redis_url, f"file://{tmp_path}/results", stack)


def test_celery_signals_are_sent_where_celery_sends_them(project: Project, gate: Gate) -> None:
    worker = project.worker(
        """
from multiprocessing import current_process
def tell(signal):
    def receiver(sender=None, **facts):
        name = sender if isinstance(sender, str) else getattr(sender, "name", type(sender).__name__)
        where = "child" if "ForkPool" in current_process().name else "parent"
        note(f"{where} {signal.name} {name}")
    signal.connect(receiver, weak=False)
for each in ("celeryd_init celeryd_after_setup worker_init worker_ready worker_process_init worker_shutdown "
             "task_received task_prerun task_postrun task_success task_failure task_revoked").split():
    tell(getattr(signals, each))
from tests.support.gate import hold
@app.task(acks_late=True)
def wait(path):
    hold(path)
@app.task(time_limit=0.3)
def sleep():
    time.sleep(60)
"""
    )
    assert project.call("add", 1, 2).get(timeout=TIMEOUT_S) == 3
    held = project.call("wait", gate.path)
    gate.wait_started()
    held.revoke(terminate=True, signal="SIGKILL")
    with pytest.raises(exceptions.TaskRevokedError):
        held.get(timeout=TIMEOUT_S)
    with pytest.raises(exceptions.TimeLimitExceeded):
        project.call("sleep").get(timeout=TIMEOUT_S)
    wait_until(lambda: "parent task_failure proj.sleep" in project.noted(), "the signal")
    assert worker.stop() == 0
    noted = project.noted()
    node = next(line.split()[-1] for line in noted if "celeryd_init" in line)
    assert "@" in node
    assert noted[:5] == [
        f"parent celeryd_init {node}",
        "parent worker_init WorkerProcess",
        f"parent celeryd_after_setup {node}",
        "child worker_process_init NoneType",
        "parent worker_ready WorkerProcess",
    ]
    of_add = ["task_prerun", "task_success", "task_postrun"]
    told = [line for line in noted if line.startswith("child task") and "proj.add" in line]
    assert told == [f"child {name} proj.add" for name in of_add]
    assert noted.count("parent task_received WorkerProcess") == 3
    assert "parent task_revoked proj.wait" in noted
    assert noted[-1] == "parent worker_shutdown WorkerProcess"


def test_task_classes_and_their_handlers_are_used(project: Project) -> None:
    project.worker(
        """
class Base(Task):
    def __call__(self, *args, **kwargs):
        note(f"called {self.name}")
        return super().__call__(*args, **kwargs)
    def before_start(self, task_id, args, kwargs): note(f"before {args}")
    def on_success(self, retval, task_id, args, kwargs): note(f"success {retval}")
    def on_failure(self, exc, task_id, args, kwargs, einfo): note(f"failure {exc!r}")
    def on_retry(self, exc, task_id, args, kwargs, einfo): note(f"retry {exc!r}")
    def after_return(self, status, retval, task_id, args, kwargs, einfo): note(f"after {status}")
@app.task(base=Base, bind=True, autoretry_for=(OSError,), default_retry_delay=0, retry_jitter=False)
def divide(self, x, y):
    if self.request.retries == 0 and y == 2:
        raise OSError("once")
    return x / y
"""
    )
    assert project.call("divide", 4, 2).get(timeout=TIMEOUT_S) == 2
    with pytest.raises(ZeroDivisionError):
        project.call("divide", 4, 0).get(timeout=TIMEOUT_S)
    wait_until(lambda: project.noted()[-1:] == ["after FAILURE"], "the last handler")
    begun = ["before [4, 2]", "called proj.divide"]
    assert project.noted() == [
        *begun,
        "retry OSError('once')",
        *begun,
        "success 2.0",
        "after SUCCESS",
        "before [4, 0]",
        "called proj.divide",
        "failure ZeroDivisionError('division by zero')",
        "after FAILURE",
    ]


@pytest.mark.parametrize(
    ("options", "is_again"),
    [("", False), ("acks_late=True", False), ("acks_late=True, reject_on_worker_lost=True", True)],
)
def test_lost_process_means_what_it_means_to_celery(
    project: Project, gate: Gate, options: str, is_again: bool
) -> None:
    project.worker(
        f"""
from tests.support.gate import hold
@app.task({options})
def wait(path):
    hold(path)
    return os.getpid()
"""
    )
    result = project.call("wait", gate.path)
    [pid] = gate.wait_started()
    os.kill(pid, signal.SIGKILL)
    if is_again:
        gate.wait_started(2)
        gate.release()
        assert result.get(timeout=TIMEOUT_S) == gate.starts[1] != pid
    else:
        with pytest.raises(exceptions.WorkerLostError):
            result.get(timeout=TIMEOUT_S)
        assert gate.starts == [pid]


def test_soft_limit_is_celerys_exception(project: Project) -> None:
    project.worker(
        """
@app.task(soft_time_limit=0.2)
def patient(handles):
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded as limit:
        if handles:
            return "handled"
        raise
"""
    )
    assert project.call("patient", True).get(timeout=TIMEOUT_S) == "handled"
    with pytest.raises(exceptions.SoftTimeLimitExceeded):
        project.call("patient", False).get(timeout=TIMEOUT_S)


@pytest.mark.parametrize("late", [True, False])
def test_all_that_follows_from_a_task_is_published(project: Project, late: bool) -> None:
    project.worker(
        f"""
@app.task(acks_late={late})
def begin(x):
    return x
@app.task
def tell(x, name):
    note(f"{{name}} {{x}}")
"""
    )
    tell = [project.app.signature("proj.tell", (name,)) for name in "abc"]
    begin = project.app.signature("proj.begin", (1,), link=[tell[0], group(tell[1:])])
    chain(begin, project.app.signature("proj.add", (2,)), tell[0]).apply_async()
    expected = ["a 1", "a 3", "b 1", "c 1"]
    wait_until(lambda: len(project.noted()) >= len(expected), "all calls", TIMEOUT_S)
    assert sorted(project.noted()) == expected


def test_member_that_a_killed_task_added_is_not_waited_for(project: Project) -> None:
    """Celery's worker, killed between counting a member and publishing it, leaves a chord that waits for ever."""
    project.worker(
        """
@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def grow(self, x):
    note("grow")
    self.add_to_chord(add.s(10, 10))
    if len(open(os.environ["TEST_NOTES"]).readlines()) == 1:
        os.kill(os.getpid(), 9)
    return x
@app.task
def total(numbers):
    return sum(numbers)
"""
    )
    signature = project.app.signature
    members = [signature("proj.grow", (1,)), signature("proj.add", (2, 2))]
    result = chord(members, signature("proj.total")).apply_async()
    assert result.get(timeout=TIMEOUT_S) == 25
    assert project.noted() == ["grow", "grow"]


def test_members_of_a_group_behind_a_failed_task_fail(project: Project) -> None:
    """With Celery's worker, whoever waits for them waits for ever."""
    project.worker(
        """
@app.task
def fail():
    raise RuntimeError("no")
"""
    )
    signature = project.app.signature
    members = group(signature("proj.add", (1,)), chain(*(signature("proj.add", (1,)),) * 2))
    result = chain(signature("proj.fail"), members).apply_async()
    body = signature("celery.accumulate")
    inside = chain(signature("proj.fail"), members.clone())
    joined = chord([inside, signature("proj.add", (1, 1))], body).apply_async()
    for waiting in (*result.results, joined):
        with pytest.raises((RuntimeError, exceptions.ChordError), match="no"):
            waiting.get(timeout=TIMEOUT_S)


def test_results_of_another_backend_are_written_by_it(filed: Project, gate: Gate) -> None:
    filed.worker(
        """
from tests.support.gate import hold
@app.task
def total(numbers):
    return sum(numbers)
@app.task
def fail():
    raise KeyError("it")
@app.task(time_limit=0.3)
def sleep():
    time.sleep(60)
@app.task(bind=True)
def progress(self, path):
    self.update_state(state="PROGRESS", meta={"done": 1})
    hold(path)
    raise Ignore()
"""
    )
    app = filed.app
    assert filed.call("add", 1, 2).get(timeout=TIMEOUT_S) == 3
    with pytest.raises(KeyError):
        filed.call("fail").get(timeout=TIMEOUT_S)
    with pytest.raises(exceptions.TimeLimitExceeded):
        filed.call("sleep").get(timeout=TIMEOUT_S)
    with pytest.raises(exceptions.NotRegistered):
        filed.call("nobody").get(timeout=TIMEOUT_S)
    held = filed.call("progress", gate.path)
    gate.wait_started()
    assert (held.state, held.info) == ("PROGRESS", {"done": 1})
    revoked = filed.call("add", 3, 4)
    revoked.revoke()
    expired = filed.call("add", 5, 6, expires=-1)
    gate.release()
    for ended in (revoked, expired):
        with pytest.raises(exceptions.TaskRevokedError):
            ended.get(timeout=TIMEOUT_S)
    members = [app.signature("proj.add", (number, number)) for number in range(3)]
    joined = chord(members, app=app)(app.signature("proj.total"))
    assert joined.get(timeout=TIMEOUT_S) == 6


def test_chord_whose_member_is_revoked_ends_in_another_backend(filed: Project) -> None:
    filed.worker("@app.task\ndef total(numbers):\n    return sum(numbers)\n")
    app = filed.app
    members = [
        app.signature("proj.add", (1, 1)),
        app.signature("proj.add", (2, 2), options={"expires": -1}),
    ]
    joined = chord(members, app=app)(app.signature("proj.total"))
    with pytest.raises((exceptions.ChordError, exceptions.TaskRevokedError)):
        joined.get(timeout=TIMEOUT_S)


def test_application_on_rabbitmq_runs(rabbit: VirtualHost, redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        project = Project(tmp_path, rabbit.url, redis_url, stack)
        worker = project.worker(
            """
@app.task
def total(numbers):
    return sum(numbers)
@app.task(bind=True, default_retry_delay=0)
def stubborn(self):
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries
"""
        )
        app = project.app
        add = [app.signature("proj.add", (number, number)) for number in range(3)]
        total = app.signature("proj.total")
        joined = chord(add, app=app)(total | app.signature("proj.add", (10,)))
        assert joined.get(timeout=TIMEOUT_S) == 16
        assert project.call("stubborn").get(timeout=TIMEOUT_S) == 2
        assert worker.stop() == 0
        assert rabbit.queues()["celery"] == (0, 0)


def test_replies_reach_the_client_that_asked(rabbit: VirtualHost, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        project = Project(tmp_path, rabbit.url, "rpc://", stack)
        worker = project.worker(
            """
@app.task
def fail():
    raise ValueError("told to")
"""
        )
        other = Celery("other", broker=rabbit.url, backend="rpc://", set_as_current=False)
        stack.callback(other.close)
        results = [
            client.send_task("proj.add", (number, number))
            for number in range(5)
            for client in (project.app, other)
        ]
        replies = [result.get(timeout=TIMEOUT_S) for result in results]
        assert replies == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
        with pytest.raises(ValueError, match="told to"):
            project.call("fail").get(timeout=TIMEOUT_S)
        assert worker.stop() == 0


def test_what_belongs_to_celerys_worker_is_named(project: Project) -> None:
    worker = project.worker(
        """
from celery import bootsteps
class Probe(bootsteps.StartStopStep):
    def start(self, worker): note("bootstep")
app.steps["worker"].add(Probe)
@app.task(Request="proj:OwnRequest")
def requested():
    return "ran"
@app.task(Strategy="proj:own_strategy")
def batched():
    return "ran"
"""
    )
    for line in (
        "bootstep proj.Probe of Celery's worker is not run by fastworker: connect worker_init",
        r"task proj.requested has a Request class of its own \(proj:OwnRequest\)",
        r"task proj.batched has a Strategy of its own \(proj:own_strategy\)",
    ):
        worker.wait_for_line(line)
    assert project.call("requested").get(timeout=TIMEOUT_S) == "ran"
    with pytest.raises(exceptions.NotRegistered):
        project.call("batched").get(timeout=TIMEOUT_S)
    assert project.noted() == []


def test_serializers_and_routers_of_the_project_are_used(project: Project) -> None:
    project.worker(
        """
from kombu.serialization import register
register("upper", lambda data: repr(data).encode(), lambda text: eval(text),
         content_type="application/x-upper", content_encoding="binary")
app.conf.update(accept_content=["json", "upper"], task_serializer="upper",
                task_routes=(lambda name, args, kwargs, options, task=None, **kw:
                             {"queue": "others"} if name == "proj.routed" else None,))
@app.task
def routed():
    return routed.request.delivery_info["routing_key"]
@app.task(bind=True)
def publish(self):
    return routed.delay().id
""",
        "-Q",
        "celery,others",
    )
    child = project.call("publish").get(timeout=TIMEOUT_S)
    assert project.app.AsyncResult(child).get(timeout=TIMEOUT_S) == "others"


def test_command_line_works_with_the_application(project: Project) -> None:
    project.worker("")

    def run(*arguments: str) -> str:
        line = (command("fastworker"), "-A", "proj", *arguments)
        with WorkerProcess(line, project.environment, project.folder) as process:
            assert process.wait_ended() == 0
            return process.log

    task_id = run("call", "proj.add", "-a", "[2, 3]").strip()
    assert project.app.AsyncResult(task_id).get(timeout=TIMEOUT_S) == 5
    assert run("result", task_id).strip() == "5"
    assert "proj.add" in run("inspect", "registered")
    [shown] = project.app.control.inspect(timeout=TIMEOUT_S).conf(with_defaults=True).values()
    assert shown["worker_hijack_root_logger"] is True
    [changed] = project.app.control.inspect(timeout=TIMEOUT_S).conf().values()
    assert "proj" in changed["include"]
    [told] = project.app.control.inspect(timeout=TIMEOUT_S).report().values()
    assert "software -> celery:" in told["ok"]
