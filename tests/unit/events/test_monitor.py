"""What the monitor shows, and what its keys do."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rich.cells import cell_len

from fastworker.events.monitor import Monitor
from fastworker.events.rows import Line, cut_name, wrapped
from fastworker.events.state import State

IDS = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(30)]


class Control:
    """Notes orders."""

    def __init__(self, replies: Any) -> None:
        self.orders: list[tuple[Any, ...]] = []
        self.replies = replies

    def _reply(self, *order: Any) -> Any:
        self.orders.append(order)
        if isinstance(self.replies, Exception):
            raise self.replies
        return self.replies

    def revoke(self, task_id: str, reply: bool) -> Any:
        return self._reply("revoke", task_id, reply)

    def rate_limit(self, name: str, rate: str, reply: bool) -> Any:
        return self._reply("rate_limit", name, rate, reply)


def tell(state: State, kind: str, uuid: str, **fields: Any) -> None:
    now = time.time()
    state.event(
        {
            "type": f"task-{kind}",
            "uuid": uuid,
            "hostname": "w@x",
            "clock": state.event_count + 1,
            "timestamp": now,
            "local_received": now,
            **fields,
        }
    )


def monitor_of(count: int, replies: Any = None) -> Monitor:
    state = State()
    for uuid in IDS[:count]:
        tell(state, "received", uuid, name="proj.tasks.add", args="(1, 2)", kwargs="{}")
    return Monitor(state, Control(replies))


def text(line: Line) -> str:
    return "".join(piece.text for piece in line)


def screen(monitor: Monitor, height: int = 24, width: int = 100) -> list[str]:
    return [text(line) for line in monitor.lines(height, width)]


def listed(monitor: Monitor, height: int = 24) -> list[str]:
    return [line.split("-")[0] for line in screen(monitor, height) if line[:4] == "0000"]


def selected(monitor: Monitor) -> str:
    lines = monitor.lines(24, 100)
    (line,) = [line for line in lines if any("selected" in piece.style for piece in line)]
    return text(line)


def press(monitor: Monitor, *keys: str) -> None:
    for key in keys:
        monitor.lines(24, 100)
        monitor.press(key)


def test_the_newest_tasks_are_on_top() -> None:
    monitor = monitor_of(30)
    assert listed(monitor) == [f"{number:08d}" for number in range(29, 11, -1)]
    row = screen(monitor)[2]
    assert "proj.tasks.add" in row
    assert "w@x" in row
    assert row.rstrip().endswith("RECEIVED")


def test_a_selection_stays_while_others_come_and_the_list_follows_it() -> None:
    monitor = monitor_of(3)
    press(monitor, "j", "DOWN")
    assert selected(monitor).startswith("00000001")
    for uuid in IDS[3:]:
        tell(monitor.state, "received", uuid, name="t")
    assert selected(monitor).startswith("00000001")
    press(monitor, "UP")
    assert selected(monitor).startswith("00000002")
    press(monitor, "PGUP")
    assert selected(monitor).startswith("00000020")
    press(monitor, "END")
    assert selected(monitor).startswith("00000000")
    press(monitor, "HOME")
    assert listed(monitor)[0] == "00000029"


def test_a_state_has_its_colour() -> None:
    monitor = monitor_of(1)
    tell(monitor.state, "failed", IDS[0], exception="Boom()", traceback="Traceback\n  x")
    assert monitor.lines(24, 100)[2][1].style == "bad"


def test_info_traceback_and_result_are_shown_and_left() -> None:
    monitor = monitor_of(1)
    tell(
        monitor.state, "failed", IDS[0], exception="Boom('é')", traceback="Traceback:\n  one\n  two"
    )
    press(monitor, "j", "i")
    shown = screen(monitor)
    assert shown[0].startswith(f"Task details for {IDS[0]}")
    assert {" name: proj.tasks.add", " args: (1, 2)", " state: FAILURE", " worker: w@x"} <= {
        line.rstrip() for line in shown
    }
    press(monitor, "x", "t")
    assert [line.rstrip() for line in screen(monitor)[2:5]] == [" Traceback:", "   one", "   two"]
    press(monitor, "ESC", "r")
    assert " Boom('é')" in screen(monitor)
    press(monitor, "q")
    assert listed(monitor) == ["00000000"]
    assert not monitor.is_over


def test_a_long_text_is_scrolled_and_wrapped_anew_when_the_terminal_changes() -> None:
    monitor = monitor_of(1)
    tell(monitor.state, "succeeded", IDS[0], result="x" * 1000, runtime=0.5)
    press(monitor, "j", "r")
    narrow = screen(monitor, 10, 22)
    assert narrow[2] == " " + "x" * 20
    assert "(7/50)" in narrow[0]
    monitor.press("PGDN")
    monitor.press("PGDN")
    assert "(21/50)" in screen(monitor, 10, 22)[0]
    assert screen(monitor, 40, 102)[2] == " " + "x" * 100


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("i", "select a task first"),
        ("j", "no task yet"),
        ("z", "nothing is on key 'z'"),
    ],
)
def test_a_key_that_cannot_be_obeyed_says_why(key: str, why: str) -> None:
    monitor = monitor_of(0)
    press(monitor, key)
    assert why in screen(monitor)[-1]
    assert monitor.refused == 1


@pytest.mark.parametrize(("key", "why"), [("t", "no traceback"), ("r", "no result")])
def test_what_was_not_told_is_not_shown(key: str, why: str) -> None:
    monitor = monitor_of(1)
    press(monitor, "j", key)
    assert why in screen(monitor)[-1]


def test_a_task_is_revoked_and_the_answers_are_shown() -> None:
    waited = []
    monitor = monitor_of(1, [{"one@x": {"ok": "flagged"}}, {"two@x": {"error": "no"}}])
    monitor.on_wait = lambda: waited.append(screen(monitor)[-1].rstrip())
    press(monitor, "j", "c")
    assert monitor.control.orders == [("revoke", IDS[0], True)]
    assert waited == ["asking the workers..."]
    assert [line.rstrip() for line in screen(monitor)[2:4]] == [" one@x: flagged", " two@x: no"]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(1, [])
    press(monitor, "j", "c")
    assert "No worker has replied" in screen(monitor)[2]


def test_an_order_that_fails_leaves_the_list() -> None:
    monitor = monitor_of(1, OSError("away"))
    press(monitor, "j", "c")
    assert "OSError: away" in screen(monitor)[-1]
    assert listed(monitor) == ["00000000"]


def test_a_rate_limit_is_typed() -> None:
    monitor = monitor_of(1, [])
    press(monitor, "j", "l", *"10/hx", "BACKSPACE", "DOWN")
    assert "New rate limit of proj.tasks.add: 10/h_" in screen(monitor)[-1]
    press(monitor, "ENTER")
    assert monitor.control.orders == [("rate_limit", "proj.tasks.add", "10/h", True)]


@pytest.mark.parametrize("keys", [("1", "ESC"), ("ENTER",)])
def test_a_rate_limit_may_be_left(keys: tuple[str, ...]) -> None:
    monitor = monitor_of(1, [])
    press(monitor, "j", "l", *keys)
    assert monitor.control.orders == []
    assert "Keys:" in screen(monitor)[-1]


def test_q_leaves() -> None:
    monitor = monitor_of(0)
    press(monitor, "Q")
    assert monitor.is_over


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 50])
@pytest.mark.parametrize("width", [1, 10, 40, 80, 200])
@pytest.mark.parametrize("keys", ["", "j", "ji", "jl"])
def test_every_size_is_filled_and_never_exceeded(height: int, width: int, keys: str) -> None:
    monitor = monitor_of(5)
    tell(
        monitor.state,
        "succeeded",
        IDS[1],
        name="任务." * 40,
        result="結果\x1b[31m\0\n",
        runtime=1.0,
    )
    press(monitor, *keys)
    monitor.trouble = "away " * 50
    lines = screen(monitor, height, width)
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)
    assert all(letter.isprintable() for line in lines for letter in line)


def test_a_broker_that_was_lost_is_told_of_in_the_title() -> None:
    monitor = monitor_of(1)
    monitor.trouble = "Connection lost"
    assert screen(monitor)[0].rstrip() == "Connection lost"


def test_names_keep_their_ends_and_texts_their_lines() -> None:
    assert cut_name("project.tasks.mail.send", 12) == "…s.mail.send"
    assert wrapped("ab\n\nc\td", 2) == ["ab", "", "c ", "  ", "d"]
