"""The monitor of ``fastworker events``: what is on the screen, and what keys do. It knows no terminal.

Source of the keys: celery/events/cursesmon.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastworker import states
from fastworker._core import __version__
from fastworker.events.rows import Line, Piece, clipped, clock_time, cut, row, shown, wrapped

if TYPE_CHECKING:
    from fastworker.events.cluster import Task
    from fastworker.events.state import State

KEYS = "j:down k:up i:info t:traceback r:result c:revoke l:rate limit q:quit"
POPUP_KEYS = "j:down k:up, any other key: back"
PROMPT_KEYS = "Enter: set it, Esc: leave it"

#: Rows that are not tasks: two above, four below.
_ABOVE, _BELOW = 2, 4
#: The colour of a state.
_STYLES = {
    states.SUCCESS: "good",
    states.FAILURE: "bad",
    states.REJECTED: "bad",
    states.RETRY: "warn",
    states.STARTED: "busy",
    states.REVOKED: "gone",
}
#: Those of the fields of a task that are times.
_TIMES = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")
_FIELDS = (
    *("args", "kwargs", "worker", "client", "retries", "eta", "expires", "runtime", "result"),
    *("exception", "queue", "exchange", "routing_key", "root_id", "parent_id"),
)


@dataclass
class Popup:
    """A text over the list.

    Attributes:
        title: Above it.
        text: Any number of lines.
        first: The line that is on top.
    """

    title: str
    text: str
    first: int = 0


@dataclass
class Prompt:
    """A line that is being typed.

    Attributes:
        question: What for.
        then: Called with the line.
        typed: So far.
    """

    question: str
    then: Callable[[str], None]
    typed: str = ""


class Monitor:
    """The screen and the keys.

    Args:
        state: What is shown; another thread may feed it.
        control: The application's, for orders to workers.
        on_wait: Called before something takes a while: for the screen to say so.

    Attributes:
        note: A line for the user, until a key is pressed.
        trouble: The same, until it is over: the broker was lost.
        is_over: The user wants to leave.
        refused: How many keys could not be obeyed.
    """

    def __init__(
        self, state: State, control: Any, on_wait: Callable[[], object] = lambda: None
    ) -> None:
        self.state = state
        self.control = control
        self.on_wait = on_wait
        self.note = ""
        self.trouble = ""
        self.is_over = False
        self.refused = 0
        self.selected: str | None = None
        self._popup: Popup | None = None
        self._prompt: Prompt | None = None
        #: The place of the task on top of the list, and how many there is room for.
        self._top = 0
        self._room = 1
        self._keys: dict[str, Callable[[], None]] = {
            "j": lambda: self._move(1),
            "k": lambda: self._move(-1),
            "PGDN": lambda: self._move(self._room),
            "PGUP": lambda: self._move(-self._room),
            "HOME": self._go_home,
            "END": lambda: self._move(1 << 30),
            "i": lambda: self._about(self._show_info),
            "t": lambda: self._about(self._show_traceback),
            "r": lambda: self._about(self._show_result),
            "c": lambda: self._about(self._revoke),
            "l": lambda: self._about(self._ask_rate),
            "q": self._leave,
        }

    # ------------------------------------------------------------------------------------------ keys

    def press(self, key: str) -> None:
        """A key: a letter, or ``UP DOWN PGUP PGDN HOME END ENTER ESC BACKSPACE``."""
        self.note = ""
        if self._prompt is not None:
            self._type(self._prompt, key)
            return
        key = {"DOWN": "j", "UP": "k", "ENTER": "i"}.get(key, key.lower() if len(key) == 1 else key)
        if self._popup is not None:
            self._scroll(self._popup, key)
            return
        act = self._keys.get(key)
        if act is not None:
            act()
        else:
            self._refuse(f"nothing is on key {shown(key)!r}")

    def _refuse(self, why: str) -> None:
        self.refused += 1
        self.note = why

    def _leave(self) -> None:
        self.is_over = True

    def _type(self, prompt: Prompt, key: str) -> None:
        if key == "ESC":
            self._prompt = None
        elif key == "ENTER":
            self._prompt = None
            if prompt.typed.strip():
                prompt.then(prompt.typed.strip())
        elif key == "BACKSPACE":
            prompt.typed = prompt.typed[:-1]
        elif len(key) == 1 and key.isprintable():
            prompt.typed += key

    def _scroll(self, popup: Popup, key: str) -> None:
        by = {"j": 1, "k": -1, "PGDN": self._room, "PGUP": -self._room}.get(key)
        if by is None:
            self._popup = None
        else:
            popup.first = max(popup.first + by, 0)

    def _go_home(self) -> None:
        self.selected, self._top = None, 0

    def _move(self, by: int) -> None:
        tasks = self._tasks()
        if not tasks:
            self._refuse("there is no task yet")
            return
        place = self._place(tasks)
        to = 0 if place is None else min(max(place + by, 0), len(tasks) - 1)
        self.selected = tasks[to].uuid

    # ----------------------------------------------------------------------------------- what keys do

    def _about(self, act: Callable[[Task], None]) -> None:
        """Do something with the selected task."""
        task = self.state.tasks.data.get(self.selected) if self.selected else None
        if task is None:
            self._refuse("select a task first: j, k, or the arrow keys")
        else:
            act(task)

    def _show_info(self, task: Task) -> None:
        said: dict[str, Any] = {"uuid": task.uuid, "name": task.name, "state": task.state}
        said.update((name, getattr(task, name, None)) for name in _FIELDS)
        said["worker"] = task.worker and task.worker.hostname
        said.update((name, clock_time(getattr(task, name))) for name in _TIMES)
        said["children"] = "\n          ".join(sorted(str(child.id) for child in task.children))
        lines = [f"{name}: {value}" for name, value in said.items() if value not in (None, "")]
        self._popup = Popup(f"Task details for {task.uuid}", "\n".join(lines))

    def _show_traceback(self, task: Task) -> None:
        if not task.traceback:
            self._refuse("no traceback was told of this task")
        else:
            self._popup = Popup(f"Traceback of {task.uuid}", task.traceback)

    def _show_result(self, task: Task) -> None:
        result = task.exception if task.result is None else task.result
        if result is None:
            self._refuse("no result was told of this task")
        else:
            self._popup = Popup(f"Result of {task.uuid}", str(result))

    def _revoke(self, task: Task) -> None:
        self._order(lambda: self.control.revoke(task.uuid, reply=True))

    def _ask_rate(self, task: Task) -> None:
        if not task.name:
            self._refuse("the name of this task was not told")
            return
        name = task.name

        def limit(rate: str) -> None:
            self._order(lambda: self.control.rate_limit(name, rate, reply=True))

        self._prompt = Prompt(f"New rate limit of {name}: ", limit)

    def _order(self, order: Callable[[], Any]) -> None:
        """Give an order to all workers, and show what they say."""
        self.note = "asking the workers..."
        self.on_wait()
        try:
            replies = order()
        except Exception as exc:
            self._refuse(f"{type(exc).__name__}: {exc}")
            return
        self.note = ""
        lines = [
            f"{node}: {reply.get('error') or reply.get('ok') if isinstance(reply, dict) else reply}"
            for by_node in replies or ()
            for node, reply in by_node.items()
        ]
        text = "\n".join(lines) or "No worker has replied within a second."
        self._popup = Popup("What the workers say", text)

    # ---------------------------------------------------------------------------------------- screen

    def lines(self, height: int, width: int) -> list[Line]:
        """The screen: ``height`` lines of at most ``width`` cells."""
        popup = self._popup
        lines = (
            self._list_lines(height, width)
            if popup is None
            else self._popup_lines(popup, height, width)
        )
        return [clipped(line, width) for line in lines]

    def _list_lines(self, height: int, width: int) -> list[Line]:
        below = self._footer(width)[-max(height - _ABOVE - 1, 1) :]
        self._room = max(height - _ABOVE - len(below), 0)
        above = [self._title(width), self._heading(width)][: max(height - len(below), 0)]
        tasks = self._rows(width)
        blank: list[Line] = [[] for _ in range(height - len(above) - len(tasks) - len(below))]
        return [*above, *tasks, *blank, *below][:height]

    def _popup_lines(self, popup: Popup, height: int, width: int) -> list[Line]:
        text = wrapped(popup.text, width - 2)
        self._room = max(height - 3, 1)
        popup.first = min(popup.first, max(len(text) - self._room, 0))
        body = text[popup.first : popup.first + self._room]
        more = f" ({popup.first + len(body)}/{len(text)})" if len(text) > self._room else ""
        title = cut(popup.title, min(len(popup.title), width - len(more)))
        head: list[Line] = [[Piece(title, "head"), Piece(more, "dim")], []]
        lines: list[Line] = [[Piece(f" {line}")] for line in body]
        blank: list[Line] = [[] for _ in range(self._room - len(body))]
        return [*head, *lines, *blank, [Piece(cut(POPUP_KEYS, width), "dim")]][-height:]

    def _title(self, width: int) -> Line:
        if self.trouble:
            return [Piece(cut(shown(self.trouble), width), "bad bold")]
        return [Piece(cut(f"fastworker events {__version__}", width), "title")]

    def _heading(self, width: int) -> Line:
        front, back = row(width, "UUID", "TASK", "WORKER", "TIME", "STATE")
        return [Piece(front + back, "head")]

    def _rows(self, width: int) -> list[Line]:
        tasks = self._tasks()
        place = self._place(tasks)
        if place is None:
            self._top = 0
        else:
            self._top = max(min(self._top, place), place - self._room + 1, 0)
        seen = tasks[self._top : self._top + self._room]
        return [self._row(task, width) for task in seen]

    def _row(self, task: Task, width: int) -> Line:
        worker = task.worker.hostname if task.worker is not None else None
        front, back = row(
            *(width, shown(task.uuid), shown(task.name or ""), shown(worker or "*NONE*")),
            *(clock_time(task.timestamp), shown(task.state)),
        )
        chosen = "selected" if task.uuid == self.selected else ""
        return [
            Piece(front, chosen),
            Piece(back, f"{_STYLES.get(task.state, '')} {chosen}".strip()),
        ]

    def _footer(self, width: int) -> list[Line]:
        alive = sorted(str(worker.hostname) for worker in self.state.alive_workers())
        counts = (
            f"events: {self.state.event_count} tasks: {self.state.task_count} "
            f"workers: {len(alive)}/{len(self.state.workers)}"
        )
        online = ", ".join(alive) if alive else "none"
        return [
            self._labelled("Selected: ", self._selection(), width),
            self._labelled("Workers online: ", online, width),
            self._labelled("Info: ", counts, width),
            self._last_line(width),
        ]

    def _labelled(self, label: str, text: str, width: int) -> Line:
        return [
            Piece(cut(label, min(len(label), width)), "bold"),
            Piece(cut(shown(text), width - len(label))),
        ]

    def _last_line(self, width: int) -> Line:
        if self._prompt is not None:
            typed = self._prompt.question + self._prompt.typed + "_"
            return [
                Piece(cut(typed, width - len(PROMPT_KEYS) - 1), "bold"),
                Piece(" " + PROMPT_KEYS, "dim"),
            ]
        if self.note:
            return [Piece(cut(shown(self.note), width), "bold")]
        return self._labelled("Keys: ", KEYS, width)

    def _selection(self) -> str:
        task = self.state.tasks.data.get(self.selected) if self.selected else None
        if task is None:
            return "none" if self.selected is None else "it is forgotten"
        said = task.info()
        if "runtime" in said:
            said["runtime"] = f"{said['runtime']:.2f}"
        return " ".join(f"{name}={value}" for name, value in said.items())

    def _tasks(self) -> list[Task]:
        """The newest first: as many as are on the screen, or all where one is selected."""
        limit = self._room if self.selected is None else None
        found: list[Task] = self.state.freeze_while(
            lambda: [task for _, task in self.state.tasks_by_time(limit=limit)]
        )
        return found

    def _place(self, tasks: list[Task]) -> int | None:
        places = (place for place, task in enumerate(tasks) if task.uuid == self.selected)
        return next(places, None)
