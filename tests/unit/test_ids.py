"""Ids that no two processes hand out."""

from __future__ import annotations

import ctypes
import os
import uuid
from collections.abc import Callable

import pytest

from fastworker._core import new_id

#: As an extension in C forks: Python's own hooks are not called.
_libc = ctypes.PyDLL(None)


def test_an_id_is_a_random_uuid() -> None:
    made = {new_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {
        (4, uuid.RFC_4122)
    }


@pytest.mark.parametrize("fork", [os.fork, _libc.fork], ids=["python", "libc"])
def test_forked_processes_hand_out_none_of_their_parents(fork: Callable[[], int]) -> None:
    new_id()
    theirs = [_ids_of_a_child(fork), _ids_of_a_child(fork)]
    ours = [new_id() for _ in range(10)]
    assert len({*ours, *theirs[0], *theirs[1]}) == 30


def _ids_of_a_child(fork: Callable[[], int]) -> list[str]:
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        os.write(writer, " ".join(new_id() for _ in range(10)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        ids = said.read().split()
    assert os.waitpid(pid, 0) == (pid, 0)
    return ids
