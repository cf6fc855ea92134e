"""``AsyncResult.graph``, beside Celery's."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest

from fastworker import FastWorker, states
from fastworker.errors import IncompleteStream
from fastworker.result import DependencyGraph, GraphFormatter

celery_graph: Any = pytest.importorskip("celery.utils.graph")


def drawn(graph: Any) -> str:
    screen = io.StringIO()
    graph.to_dot(screen)
    return screen.getvalue()


@pytest.mark.parametrize("seed", range(40))
def test_a_graph_is_celerys(seed: int) -> None:
    draw = random.Random(seed)
    nodes = [f"n{number}" for number in range(draw.randrange(1, 10))]
    edges = [
        (node, [one for one in nodes[place + 1 :] if draw.random() < 0.3])
        for place, node in enumerate(nodes)
    ]
    draw.shuffle(edges)
    ours = DependencyGraph(edges, GraphFormatter(root=nodes[0], shape="oval"))
    theirs = celery_graph.DependencyGraph(
        edges, celery_graph.GraphFormatter(root=nodes[0], shape="oval")
    )
    assert (repr(ours), drawn(ours)) == (repr(theirs), drawn(theirs))
    assert (ours.topsort(), list(ours.edges())) == (theirs.topsort(), list(theirs.edges()))
    assert [ours.valency_of(n) for n in nodes] == [theirs.valency_of(n) for n in nodes]


def test_a_deep_graph_is_no_trouble() -> None:
    deep = DependencyGraph([*((number, [number + 1]) for number in range(5_000)), (5_000, [])])
    assert deep.valency_of(0) == 5_000
    assert deep.topsort()[0] == 5_000


def test_a_cycle_is_told() -> None:
    with pytest.raises(ValueError, match="cycle"):
        DependencyGraph([("a", ["b"]), ("b", ["a"])]).topsort()


def test_the_graph_of_a_result_is_what_its_task_published(app: FastWorker) -> None:
    class Request:
        children = ()
        chord = group = None

    def finish(task_id: str, *children: str) -> None:
        request: Any = Request()
        request.children = [app.AsyncResult(child) for child in children]
        app.backend.store_result(task_id, None, states.SUCCESS, request=request)

    finish("root", "left", "right")
    finish("left", "leaf")
    finish("right")
    root = app.AsyncResult("root")
    with pytest.raises(IncompleteStream, match="leaf"):
        _ = root.graph
    assert len(root.build_graph(intermediate=True)) == 4
    finish("leaf")
    graph = app.AsyncResult("root").graph
    assert repr(graph).splitlines()[:4] == [
        "root(3)",
        "     left(1)",
        "          leaf(0)",
        "     right(0)",
    ]
    assert '"root" -> "left"' in drawn(graph)
    assert 'root="root"' in drawn(graph)


def test_throw_tells_those_who_wait_and_raises(app: FastWorker) -> None:
    told: list[BaseException] = []
    result = app.AsyncResult("x")
    result.then(lambda _: None, on_error=told.append)
    with pytest.raises(KeyError):
        result.throw(KeyError("x"))
    assert [repr(exc) for exc in told] == ["KeyError('x')"]
    result.throw(KeyError("y"), propagate=False)
    assert len(told) == 1, "they were told"
    with pytest.raises(RuntimeError, match="give the exception"):
        result.throw()
