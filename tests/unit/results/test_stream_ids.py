"""The ids of a stream: what the extension makes is Python's ``uuid5``."""

from __future__ import annotations

import uuid

import pytest

from fastworker import _core
from fastworker.results.stream_ids import StreamIds

SEED = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize("start", [0, 9, 10**6, 2**64 - 20])
def test_an_id_is_a_uuid_of_version_5(start: int) -> None:
    expected = [str(uuid.uuid5(uuid.UUID(SEED), str(start + n))) for n in range(12)]
    assert _core.stream_ids(SEED, start, 12) == expected


@pytest.mark.parametrize("seed", ["", "x" * 36, SEED[:-1], SEED.replace("-", ""), "é" * 18])
def test_a_seed_that_is_no_uuid_is_refused(seed: str) -> None:
    with pytest.raises(ValueError, match="expected a UUID as 36 characters"):
        _core.stream_ids(seed, 0, 1)


def test_ids_are_a_sequence() -> None:
    ids = StreamIds(SEED, range(10))
    assert list(ids) == [ids[place] for place in range(10)] == _core.stream_ids(SEED, 0, 10)
    assert list(ids[::-2]) == list(ids)[::-2]
    assert ids == StreamIds(SEED, range(10))
    assert [len(batch) for batch in ids.batches(4)] == [4, 4, 2]
    with pytest.raises(IndexError):
        ids[10]
