"""The monitor's terminal: draws its lines with curses, and gives it the keys.

Curses, since it comes with Python and knows the keys of every terminal; rich, which we have too, reads no keys. The
main thread draws and reads keys; another hears events, and wakes it by a pipe.
"""

from __future__ import annotations

import contextlib
import curses
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastworker.events.keeping import keep_hearing
from fastworker.events.monitor import Monitor
from fastworker.events.receiver import EventReceiver

if TYPE_CHECKING:
    from fastworker.events.application import EventApp

#: Seconds between two pictures, however much happens.
_APART_S = 0.1
#: Seconds after which it is drawn anew though nothing happens: workers die silently.
_IDLE_S = 1.0
#: Milliseconds that a terminal may take for the rest of a key that begins with Esc.
_ESCAPE_MS = "25"

_KEYS = {
    curses.KEY_UP: "UP",
    curses.KEY_DOWN: "DOWN",
    curses.KEY_PPAGE: "PGUP",
    curses.KEY_NPAGE: "PGDN",
    curses.KEY_HOME: "HOME",
    curses.KEY_END: "END",
    curses.KEY_ENTER: "ENTER",
    curses.KEY_BACKSPACE: "BACKSPACE",
    "\n": "ENTER",
    "\r": "ENTER",
    "\x1b": "ESC",
    "\x7f": "BACKSPACE",
    "\b": "BACKSPACE",
}
_ATTRIBUTES = {
    "bold": curses.A_BOLD,
    "dim": curses.A_DIM,
    "title": curses.A_BOLD,
    "head": curses.A_BOLD | curses.A_UNDERLINE,
    "selected": curses.A_REVERSE,
}
_COLORS = {
    "good": curses.COLOR_GREEN,
    "bad": curses.COLOR_RED,
    "warn": curses.COLOR_YELLOW,
    "busy": curses.COLOR_CYAN,
    "gone": curses.COLOR_MAGENTA,
    "title": curses.COLOR_BLUE,
}


class Doorbell:
    """A pipe that says that something has happened; ringing it again before that was looked at changes nothing."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)

    def ring(self) -> None:
        """Something has happened."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_end, b".")

    def clear(self) -> None:
        """It was looked at."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.read_end, 4096):
                pass

    def close(self) -> None:
        """Nobody rings any more."""
        os.close(self.read_end)
        os.close(self._write_end)


class Screen:
    """A terminal in curses' hands.

    Args:
        window: All of it.
        has_colors: Use them, if it has any.
    """

    def __init__(self, window: curses.window, has_colors: bool) -> None:
        self._window = window
        self._styles = dict(_ATTRIBUTES)
        with contextlib.suppress(curses.error):
            curses.curs_set(0)
        window.nodelay(True)
        if not curses.has_colors():
            return
        curses.use_default_colors()
        if has_colors:
            for number, (name, color) in enumerate(_COLORS.items(), 1):
                curses.init_pair(number, color, -1)
                self._styles[name] = self._styles.get(name, 0) | curses.color_pair(number)

    def fit(self) -> None:
        """Take the size that the terminal has now."""
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
        curses.resizeterm(size.lines, size.columns)
        self._window.clear()

    def draw(self, monitor: Monitor) -> None:
        """Show the monitor's lines."""
        height, width = self._window.getmaxyx()
        self._window.erase()
        for y, line in enumerate(monitor.lines(height, width)):
            x = 0
            for piece in line:
                style = 0
                for word in piece.style.split():
                    style |= self._styles.get(word, 0)
                # The cursor cannot go behind the last cell of all, which is written all the same.
                with contextlib.suppress(curses.error):
                    self._window.addstr(y, x, piece.text, style)
                x = self._window.getyx()[1]
        self._window.refresh()

    def typed(self) -> Iterator[str]:
        """What was typed since the last time."""
        while True:
            try:
                typed = self._window.get_wch()
            except curses.error:
                return
            key = _KEYS.get(typed, typed)
            if isinstance(key, str):
                yield key


class _Ear(threading.Thread):
    """Hears events until it is told to stop.

    Attributes:
        error: What ended it by itself.
    """

    def __init__(self, app: EventApp, monitor: Monitor, bell: Doorbell) -> None:
        super().__init__(name="events", daemon=True)
        self.error: BaseException | None = None
        self._app: Any = app
        self._monitor = monitor
        self._bell = bell
        self._receiver: EventReceiver | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        """Hear."""
        try:
            keep_hearing(self._make, self._lost, self._ready, self._stopping.wait)
        except BaseException as error:
            self.error = error
        self._bell.ring()

    def stop(self) -> None:
        """End, within half a second."""
        self._stopping.set()
        if self._receiver is not None:
            self._receiver.should_stop = True

    def _make(self) -> EventReceiver:
        receiver: EventReceiver = self._app.events.Receiver(handlers={"*": self._heard})
        self._receiver = receiver
        receiver.should_stop = self._stopping.is_set()
        return receiver

    def _heard(self, event: dict[str, Any]) -> None:
        self._monitor.state.event(event)
        self._bell.ring()

    def _lost(self, error: Exception) -> None:
        self._monitor.trouble = f"Connection lost, and what happens is missed: {error}"
        self._bell.ring()

    def _ready(self, _receiver: EventReceiver) -> None:
        self._monitor.trouble = ""
        self._bell.ring()


class _Resize:
    """What the handler of SIGWINCH says. No `threading.Event`, whose lock is not for handlers: while a window is pulled
    at, one handler interrupts another."""

    is_pending = False


def watch(app: Any, most: int, has_colors: bool) -> Exception | None:
    """Show the monitor until the user leaves it; the terminal is as it was before then.

    Args:
        app: The application.
        most: Tasks that are remembered.
        has_colors: Use colours, if the terminal has any.

    Returns:
        What ended it: the broker was never reached. None: the user.
    """
    state = app.events.State(max_tasks_in_memory=most)
    bell = Doorbell()
    os.environ.setdefault("ESCDELAY", _ESCAPE_MS)
    try:
        return _watch(app, state, bell, has_colors)
    finally:
        bell.close()


def _watch(app: Any, state: Any, bell: Doorbell, has_colors: bool) -> Exception | None:
    resize = _Resize()

    def on_resize(_number: int, _frame: Any) -> None:
        resize.is_pending = True
        bell.ring()

    def on_end(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    # Before curses looks: it would take the signal itself, and nobody would wake.
    before = {
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, on_resize),
        signal.SIGTERM: signal.signal(signal.SIGTERM, on_end),
        signal.SIGHUP: signal.signal(signal.SIGHUP, on_end),
    }
    monitor = Monitor(state, app.control)
    ear = _Ear(app, monitor, bell)
    try:
        curses.wrapper(_show, monitor, ear, bell, resize, has_colors)
    except KeyboardInterrupt:
        pass  # the usual way to leave
    finally:
        ear.stop()
        ear.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    if ear.error is not None and not isinstance(ear.error, Exception):
        raise ear.error
    return ear.error


def _show(
    window: curses.window,
    monitor: Monitor,
    ear: _Ear,
    bell: Doorbell,
    resize: _Resize,
    has_colors: bool,
) -> None:
    screen = Screen(window, has_colors)
    monitor.on_wait = lambda: screen.draw(monitor)
    ear.start()
    refused = 0
    while not monitor.is_over and (ear.is_alive() or ear.error is None):
        if resize.is_pending:
            resize.is_pending = False
            screen.fit()
        screen.draw(monitor)
        drawn = time.monotonic()
        if monitor.refused != refused:
            refused = monitor.refused
            curses.beep()
        _wait(bell, drawn)
        for key in screen.typed():
            monitor.press(key)
            if monitor.is_over:
                return


def _wait(bell: Doorbell, drawn: float) -> None:
    """Until a key was pressed; or, not too soon after the last picture, something else has happened."""
    typed = sys.__stdin__.fileno() if sys.__stdin__ else 0
    ready, _, _ = select.select([typed, bell.read_end], [], [], _IDLE_S)
    if typed not in ready:
        left = drawn + _APART_S - time.monotonic()
        if left > 0:
            select.select([typed], [], [], left)
    bell.clear()
