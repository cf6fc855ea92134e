"""Signals by name or number, as remote control names them."""

from __future__ import annotations

import signal


def signum(name: str | int) -> int:
    """``"SIGTERM"``, ``"term"``, ``"15"`` or ``15`` as a number.

    Raises:
        ValueError: No signal is called so.
    """
    if isinstance(name, int):
        return int(signal.Signals(name))
    if name.isdigit():
        return int(signal.Signals(int(name)))
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    try:
        return int(signal.Signals[full])
    except KeyError:
        raise ValueError(f"signal {name!r}: expected a name such as TERM, KILL or USR1") from None
