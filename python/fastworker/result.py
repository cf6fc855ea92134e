"""Celery's public path for results: ``from fastworker.result import AsyncResult``."""

from __future__ import annotations

from fastworker.results.async_result import AsyncResult, ResultBase
from fastworker.results.bulk_result import BulkResult, ChunkedResult
from fastworker.results.eager_result import EagerResult
from fastworker.results.graph import DependencyGraph, GraphFormatter
from fastworker.results.joining import allow_join_result, assert_will_not_block, denied_join_result
from fastworker.results.progress import Progress
from fastworker.results.result_set import GroupResult, ResultSet
from fastworker.results.stream_result import StreamResult
from fastworker.results.tuples import result_from_tuple

__all__ = [
    "AsyncResult",
    "BulkResult",
    "ChunkedResult",
    "DependencyGraph",
    "EagerResult",
    "GraphFormatter",
    "GroupResult",
    "Progress",
    "ResultBase",
    "ResultSet",
    "StreamResult",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]
