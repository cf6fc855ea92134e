"""Logging: formats, files, colours, redirection, JSON, and the users' hooks."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastworker import FastWorker, signals
from fastworker.app.state import task_stack
from fastworker.worker.log_format import (
    JsonFormatter,
    TaskTextFormatter,
    TextFormatter,
    enter_lane,
)
from fastworker.worker.log_redirect import LoggingProxy
from fastworker.worker.logs import enter_child, level_of, set_up

NAMES = (None, "fastworker", "fastworker.task", "fastworker.redirected")


@pytest.fixture(autouse=True)
def logging_state() -> Iterator[None]:
    """The process's logging as it was, when the test ends."""
    kept = [(logging.getLogger(name), list(logging.getLogger(name).handlers)) for name in NAMES]
    levels = [(logger, logger.level, logger.propagate) for logger, _ in kept]
    streams = sys.stdout, sys.stderr
    yield
    sys.stdout, sys.stderr = streams
    logging.captureWarnings(False)
    for logger, handlers in kept:
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers[:] = handlers
    for logger, level, propagate in levels:
        logger.level, logger.propagate = level, propagate
        logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def app() -> FastWorker:
    app = FastWorker("proj", set_as_current=False)
    app.conf.worker_redirect_stdouts = False
    return app


def record(message: str = "hello", level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("proj", level, __file__, 1, message, None, None)
    made.__dict__.update(extra)
    return made


@pytest.mark.shows("setting worker_log_format")
def test_lines_have_celerys_format(app: FastWorker, tmp_path: Path) -> None:
    set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "%n.log"))
    logging.getLogger("anywhere").info("hello")
    logging.getLogger("anywhere").debug("not this")
    line = (tmp_path / "w.log").read_text()
    assert line.startswith("[20")
    assert line.endswith(": INFO/MainProcess] hello\n")


@pytest.mark.shows("setting worker_task_log_format")
def test_task_lines_name_the_running_task(app: FastWorker, tmp_path: Path) -> None:
    @app.task(name="proj.add", shared=False)
    def add() -> None:
        logging.getLogger("fastworker.task").warning("inside")

    set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    task = app.tasks["proj.add"]
    task.push_request(id="some-id")
    task_stack.push(task)
    try:
        add()
    finally:
        task_stack.pop()
        task.pop_request()
    assert "proj.add[some-id]: inside" in (tmp_path / "w.log").read_text()


@pytest.mark.shows("setting worker_log_color")
def test_setting_keeps_colour_off_a_terminal(
    app: FastWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", SimpleNamespace(isatty=lambda: True))
    for setting in (True, False):
        app.conf.worker_log_color = setting
        plan = set_up(app, "w@h", loglevel=logging.INFO)
        assert plan is not None
        assert plan.is_coloured is setting


@pytest.mark.shows(
    "setting worker_log_datefmt",
    "setting worker_task_log_datefmt",
    "setting worker_log_format",
    "setting worker_task_log_format",
)
def test_settings_say_how_lines_look(app: FastWorker, tmp_path: Path) -> None:
    app.conf.update(
        worker_log_format="any %(asctime)s %(message)s",
        worker_log_datefmt="at %Y",
        worker_task_log_format="task %(asctime)s %(message)s",
        worker_task_log_datefmt="in %Y",
    )
    set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    logging.getLogger("anywhere").info("hello")
    logging.getLogger("fastworker.task").error("hello")
    first, second = (tmp_path / "w.log").read_text().splitlines()
    assert first.startswith("any at 20")
    assert second.startswith("task in 20")


def test_outside_of_a_task_the_fields_are_question_marks() -> None:
    formatter = TaskTextFormatter("%(task_name)s[%(task_id)s] %(message)s", None, False)
    assert formatter.format(record()) == "???[???] hello"


def test_colour_marks_levels_only_when_asked() -> None:
    assert TextFormatter("%(message)s", None, True).format(record(level=logging.ERROR)) == (
        "\033[1;31mhello\033[0m"
    )
    assert TextFormatter("%(message)s", None, True).format(record()) == "hello"
    assert TextFormatter("%(message)s", None, False).format(record(level=logging.ERROR)) == "hello"


def test_json_lines_have_time_level_logger_process_and_message() -> None:
    made = record("héllo")
    made.created = 1_700_000_000.25
    assert json.loads(JsonFormatter().format(made)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "proj",
        "process": "MainProcess",
        "message": "héllo",
    }


def test_json_lines_name_the_task_they_are_about() -> None:
    made = record("Task %(task)s[%(id)s] received")
    made.args = {"task": "proj.add", "id": "some-id"}
    line = json.loads(JsonFormatter().format(made))
    assert (line["task_id"], line["task_name"]) == ("some-id", "proj.add")
    assert line["message"] == "Task proj.add[some-id] received"


def test_json_lines_hold_the_traceback_in_one_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        made = record()
        made.exc_info = sys.exc_info()
    text = JsonFormatter().format(made)
    assert "\n" not in text
    assert "ValueError: no" in json.loads(text)["exc"]


@pytest.mark.shows("setting worker_log_style")
def test_json_style_comes_from_the_option_or_the_setting(app: FastWorker, tmp_path: Path) -> None:
    app.conf.worker_log_style = "json"
    set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    logging.getLogger("x").info("hello")
    assert json.loads((tmp_path / "w.log").read_text())["message"] == "hello"


@pytest.mark.shows("signal setup_logging")
def test_a_receiver_of_setup_logging_takes_over(app: FastWorker, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        seen.append(kwargs)

    before = list(logging.getLogger().handlers)
    signals.setup_logging.connect(receiver)
    try:
        plan = set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    finally:
        signals.setup_logging.disconnect(receiver)
    assert plan is None
    assert seen[0]["loglevel"] == logging.INFO
    assert logging.getLogger().handlers == before


@pytest.mark.shows("signal after_setup_logger", "signal after_setup_task_logger")
def test_receivers_are_told_which_loggers_were_made(app: FastWorker, tmp_path: Path) -> None:
    seen: list[str] = []

    def receiver(logger: logging.Logger, **_: Any) -> None:
        seen.append(logger.name)

    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(receiver)
    try:
        set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    finally:
        for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
            signal.disconnect(receiver)
    assert seen == ["root", "fastworker.task"]


@pytest.mark.shows("setting worker_hijack_root_logger")
def test_handlers_of_the_root_logger_stay_when_it_is_not_to_be_hijacked(app: FastWorker) -> None:
    app.conf.worker_hijack_root_logger = False
    mine = logging.StreamHandler(io.StringIO())
    logging.getLogger().handlers[:] = [mine]
    set_up(app, "w@h", loglevel=logging.INFO)
    assert logging.getLogger().handlers == [mine]
    app.conf.worker_hijack_root_logger = True
    set_up(app, "w@h", loglevel=logging.INFO)
    assert mine not in logging.getLogger().handlers


def test_a_child_has_its_own_file_when_the_name_says_so(app: FastWorker, tmp_path: Path) -> None:
    plan = set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "%n%I.log"))
    enter_child(plan, 2)
    logging.getLogger("x").info("from the child")
    logging.getLogger("fastworker.task").info("from its task")
    assert (tmp_path / "w.log").read_text() == ""
    assert len((tmp_path / "w-2.log").read_text().splitlines()) == 2


@pytest.mark.shows("setting worker_redirect_stdouts", "setting worker_redirect_stdouts_level")
def test_what_is_printed_becomes_log_lines(app: FastWorker, tmp_path: Path) -> None:
    app.conf.worker_redirect_stdouts = True
    set_up(app, "w@h", loglevel=logging.INFO, logfile=str(tmp_path / "w.log"))
    print("printed")
    print("complained", file=sys.stderr)
    lines = (tmp_path / "w.log").read_text().splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["printed", "complained"]
    assert "WARNING" in lines[0]


def test_a_handler_that_writes_to_the_redirected_stream_does_not_recurse() -> None:
    logger = logging.getLogger("fastworker.redirected")
    proxy = LoggingProxy(logger, logging.WARNING)
    stream = io.StringIO()

    class Both(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.write(record.getMessage())
            proxy.write("again")

    logger.addHandler(Both())
    logger.propagate = False
    assert proxy.write("once\n") == 5
    assert stream.getvalue() == "once"


def test_levels_have_names_in_any_case() -> None:
    assert level_of("warning") == level_of(30) == logging.WARNING
    with pytest.raises(ValueError, match="expected DEBUG"):
        level_of("loud")


def test_lines_that_are_a_lanes_name_it() -> None:
    text = TextFormatter("%(processName)s] %(message)s", None, False)
    made = record(worker_lane="io")
    assert (text.format(made), text.format(record())) == (
        "MainProcess/io] hello",
        "MainProcess] hello",
    )
    assert made.processName == "MainProcess", "others format the record too"
    assert json.loads(JsonFormatter().format(made))["lane"] == "io"
    assert "lane" not in json.loads(JsonFormatter().format(record()))


def test_child_of_a_lane_names_it_in_every_line() -> None:
    enter_child(None, 3, "cpu")
    try:
        line = TaskTextFormatter("%(processName)s] %(task_id)s %(message)s", None, False)
        assert line.format(record()) == "MainProcess/cpu] ??? hello"
        assert json.loads(JsonFormatter().format(record()))["lane"] == "cpu"
    finally:
        enter_lane(None)
