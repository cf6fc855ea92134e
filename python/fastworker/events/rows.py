"""Text for a grid of cells: cut, padded and wrapped by what a terminal shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, chop_cells, set_cell_size

#: Widths of the columns whose content has a length.
_UUID, _STATE, _TIME = 36, 8, 8
#: Columns that ids, names of tasks and of workers have at least, where there is room at all.
_FEWEST_UUID, _FEWEST_NAMES = 8, 31


@dataclass(frozen=True)
class Piece:
    """Text in one style.

    Attributes:
        text: What is shown.
        style: Words, such as ``bold``; a terminal makes of them what it can.
    """

    text: str
    style: str = ""


Line = list[Piece]


def clipped(line: Line, width: int) -> Line:
    """What of a line there is room for."""
    left, kept = width, []
    for piece in line:
        size = cell_len(piece.text)
        if size > left:
            kept.append(Piece(set_cell_size(piece.text, left), piece.style))
            break
        kept.append(piece)
        left -= size
    return kept


def shown(text: object) -> str:
    """One line of it, without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def cut(text: str, width: int) -> str:
    """The text in exactly ``width`` cells; where it has more, its beginning and ``…``."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1) + "…", width)


def cut_name(name: str, width: int) -> str:
    """A name with dots in ``width`` cells: its end tells more than its beginning."""
    if cell_len(name) <= width or width <= 1:
        return cut(name, width)
    tail = name
    while cell_len(tail) > width - 1:
        tail = tail[1:]
    return cut("…" + tail, width)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, each in as many pieces as it takes."""
    lines: list[str] = []
    for line in text.expandtabs(4).split("\n"):
        lines += chop_cells(shown(line), max(width, 1)) or [""]
    return lines


def clock_time(timestamp: float | None) -> str:
    """When it was, by the clock here; blank if that is not known."""
    if timestamp is None:
        return ""
    return datetime.fromtimestamp(timestamp).strftime("%H:%M:%S")


def columns(width: int) -> tuple[int, int, int]:
    """The widths of id, task and worker in a row of ``width`` cells."""
    left = max(width - _TIME - _STATE - 4, 0)
    uuid = min(_UUID, max(left - _FEWEST_NAMES, _FEWEST_UUID))
    names = max(left - uuid, 0)
    return min(uuid, left), (names + 1) // 2, names // 2


def row(width: int, uuid: str, task: str, worker: str, at: str, state: str) -> tuple[str, str]:
    """A row of the list: all but the state, and the state, which has a colour."""
    widths = columns(width)
    cells = (cut(uuid, widths[0]), cut_name(task, widths[1]), cut(worker, widths[2]))
    return " ".join((*cells, cut(at, _TIME))) + " ", cut(state, _STATE)
