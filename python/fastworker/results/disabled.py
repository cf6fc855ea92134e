"""No result store: tasks run, states and results go nowhere, and whoever asks for one is told what
to set.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fastworker.results.application import ResultApp
from fastworker.results.backend import Backend

_REFUSAL = (
    "No result backend is configured: the state and the result of a task are not stored anywhere. "
    "Set one, for "
    'example FastWorker(…, backend="redis://localhost:6379/1") or the setting result_backend, in '
    "the client and in "
    "the worker."
)


class DisabledBackend(Backend):
    """What ``app.backend`` is without ``result_backend``, on a broker that has no place for
    results.
    """

    def __init__(self, app: ResultApp) -> None:
        super().__init__(app, "disabled://", {})

    def store_result(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is stored."""

    def mark_waiting_as_revoked(self, task_id: str) -> bool:
        """Nothing is stored."""
        return False

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(_REFUSAL)

    #: Nothing is kept.
    persistent = False
    store = property(_refuse)
    _open_store = _refuse
    get_task_meta = get_many_meta = wait_for_change = _refuse
    get_state = get_status = get_result = get_traceback = get_children = _refuse
    ensure_chords_allowed = _refuse
    task_result_exists = forget = forget_many = _refuse
    begin_chord = set_chord_size = add_to_chord = _refuse
    save_group = restore_group = delete_group = _refuse
