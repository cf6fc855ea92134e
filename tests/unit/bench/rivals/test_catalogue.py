"""The systems: their command lines, lock files and adapters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import catalogue
from fastworker.bench.rivals.catalogue import FASTWORKER, RIVALS
from fastworker.bench.rivals.environments import ADAPTERS, LOCKS
from fastworker.bench.rivals.rival import Load, Rival, Setting

EVERY = [*RIVALS, FASTWORKER]
PROGRAMS = Path("/env/bin")
URL = "redis://127.0.0.1:1/0"


def command(name: str, load: Load) -> list[str]:
    """Of a system's worker."""
    found = next(one for one in EVERY if one.name == name)
    return found.settings[load].worker_command(PROGRAMS, URL)


@pytest.mark.parametrize(
    ("name", "load", "line"),
    [
        (
            "fastworker",
            Load.QUICK,
            "/env/bin/python -m fastworker -A rival_apps.fastworker_app worker --loglevel WARNING --concurrency 2",
        ),
        (
            "celery",
            Load.QUICK,
            "/env/bin/python -m celery -A rival_apps.celery_app worker --loglevel WARNING --without-gossip "
            "--without-mingle --without-heartbeat -O fair --pool prefork --concurrency 2 --prefetch-multiplier 128",
        ),
        (
            "dramatiq",
            Load.WAITING,
            "/env/bin/dramatiq-gevent rival_apps.dramatiq_app --processes 2 --threads 500 --skip-logging",
        ),
        (
            "tarsk",
            Load.COMPUTING,
            "/env/bin/tarsk worker --app rival_apps.tarsk_app:app --broker redis://127.0.0.1:1/0 --queues bench "
            "--children 2 --slots 1",
        ),
        (
            "rq-simple",
            Load.QUICK,
            "/env/bin/rq worker-pool --url redis://127.0.0.1:1/0 --quiet --num-workers 2 "
            "--worker-class rq.worker.SimpleWorker bench",
        ),
    ],
)
def test_a_worker_is_started_as_its_documents_say(name: str, load: Load, line: str) -> None:
    assert " ".join(command(name, load)) == line


def test_a_system_of_one_process_is_started_twice_by_a_shell() -> None:
    shell, option, script = command("arq", Load.QUICK)
    assert (shell, option) == ("sh", "-c")
    assert "for copy in $(seq 2); do /env/bin/arq rival_apps.arq_app.WorkerSettings &" in script
    assert "trap 'kill $pids' TERM" in script


@pytest.mark.parametrize("rival", EVERY, ids=lambda one: one.name)
def test_every_command_line_is_filled_in(rival: Rival) -> None:
    assert rival.settings
    for load in rival.settings:
        assert not re.search(r"(?<!\$)[{}]", " ".join(command(rival.name, load)))


@pytest.mark.parametrize("rival", RIVALS, ids=lambda one: one.name)
def test_every_rival_is_pinned_with_hashes(rival: Rival) -> None:
    text = (LOCKS / f"{rival.project}.txt").read_text()
    assert re.search(rf"^{rival.distribution}==\S+", text, re.MULTILINE)
    pins = re.findall(r"^\S+==.*$", text, re.MULTILINE)
    assert all(pin.endswith("\\") for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    wanted = (LOCKS / f"{rival.project}.in").read_text().splitlines()[0]
    assert wanted == "# Python " + ".".join(map(str, rival.oldest_python))


@pytest.mark.parametrize("rival", EVERY, ids=lambda one: one.name)
def test_an_adapter_needs_no_fastworker_and_can_publish(rival: Rival) -> None:
    tree = ast.parse((ADAPTERS / "rival_apps" / f"{rival.module}.py").read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert ("fastworker" in imported) == rival.is_ours
    functions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    # Those that are awaited need a client to be awaited in, and the other way round.
    assert isinstance(functions["send"], ast.AsyncFunctionDef) == ("client" in functions)
    assert (ast.get_docstring(tree) or "").count(" ") > 5


def test_systems_are_chosen_by_project_or_name() -> None:
    names = [one.name for one in catalogue.chosen(["rq", "celery-gevent"])]
    assert names == ["celery-gevent", "rq", "rq-simple"]
    assert len(catalogue.chosen([])) == len(RIVALS)


def test_an_unknown_system_is_refused_with_a_hint() -> None:
    with pytest.raises(BenchError, match=r"--only dramatic: expected some of .*mean 'dramatiq'"):
        catalogue.chosen(["dramatic"])


def test_one_process_needs_no_shell() -> None:
    setting = Setting("tool run --n {n} 'a b'", 3)
    assert setting.worker_command(PROGRAMS, URL) == ["/env/bin/tool", "run", "--n", "3", "a b"]
