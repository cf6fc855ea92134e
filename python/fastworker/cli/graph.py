"""``fastworker graph workers``: the fleet in the dot language. Source: celery/bin/graph.py."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from fastworker.cli.group import Command, CommandGroup, Option
from fastworker.cli.session import Session, pass_session

if TYPE_CHECKING:
    from fastworker.results.graph import DependencyGraph

_WORKER: dict[str, Any] = {}
_PROCESS = {"fillcolor": "lightcyan4", "fontcolor": "yellow", "shape": "oval", "color": "black"}
_BROKER = {"shape": "circle", "fillcolor": "cadetblue3", "color": "cadetblue4", "height": 1}
_RESULTS = {"shape": "folder", "width": 2, "height": 1, "color": "black", "fillcolor": "peachpuff3"}


class _Node:
    """A box of the drawing."""

    def __init__(self, label: str, scheme: dict[str, Any]) -> None:
        self.label = label
        self.scheme = scheme

    def __str__(self) -> str:
        return self.label


@click.group(cls=CommandGroup)
def graph() -> None:
    """Draw the workers; give it to dot -Tpng."""


@graph.command(cls=Command)
@click.option(
    "-t", "--timeout", cls=Option, type=float, default=1.0, help="Seconds to wait for replies."
)
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON instead.")
@pass_session
def workers(session: Session, timeout: float, as_json: bool) -> int:
    """Show the workers that are online, their processes, the broker and the result store."""
    from fastworker.app.masking import mask_url

    app = session.app
    replies = app.control.inspect(timeout=timeout).stats() or {}
    sizes = {node: int(reply["pool"]["max-concurrency"]) for node, reply in sorted(replies.items())}
    broker = mask_url(app.broker_url)
    results = mask_url(app.results_kept_at) if app.results_kept_at else None
    if as_json:
        click.echo(json.dumps({"broker": broker, "results": results, "workers": sizes}))
        return 0
    _drawing(broker, results, sizes).to_dot(sys.stdout)
    return 0


@graph.command(cls=Command)
def bootsteps() -> int:
    """Not in fastworker: its workers have no bootsteps."""
    raise click.UsageError(
        "bootsteps: a worker of fastworker has none; docs/architecture.md shows what it is made of"
    )


def _drawing(broker: str, results: str | None, sizes: dict[str, int]) -> DependencyGraph:
    from fastworker.results.graph import DependencyGraph, GraphFormatter

    class Formatter(GraphFormatter):
        """Each box in its own colours."""

        def label(self, obj: Any) -> Any:
            return getattr(obj, "label", obj)

        def node(self, obj: Any, **attrs: Any) -> str:
            return self.draw_node(obj, {**self.node_scheme, **obj.scheme}, attrs)

        def terminal_node(self, obj: Any, **attrs: Any) -> str:
            return self.draw_node(obj, {**self.term_scheme, **obj.scheme}, attrs)

    drawing = DependencyGraph(formatter=Formatter())
    ends = [_Node(broker, _BROKER)]
    if results is not None and results != broker:
        ends.append(_Node(results, _RESULTS))
    for end in ends:
        drawing.add_arc(end)
    for name, size in sizes.items():
        worker = _Node(name, _WORKER)
        drawing.add_arc(worker)
        for end in ends:
            drawing.add_edge(worker, end)
        processes = _Node(f"{size} {'process' if size == 1 else 'processes'} of {name}", _PROCESS)
        drawing.add_arc(processes)
        drawing.add_edge(processes, worker)
    return drawing
