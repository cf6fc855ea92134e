"""Who published whom, as a graph that can be printed and drawn. Source: celery/utils/graph.py, whose names, text and
dot output these are; nothing here recurses, however deep the graph is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol


class Sink(Protocol):
    """A text file."""

    def write(self, text: str, /) -> object:
        """Write."""


class GraphFormatter:
    """How a graph is drawn in the dot language.

    Args:
        root: What the graph begins with.
        type: ``digraph`` or ``graph``.
        id: Name of the graph.
        indent: Levels of indentation.
        inw: One level.
        scheme: Attributes of all nodes.
    """

    scheme: Mapping[str, Any] = {
        "shape": "box",
        "arrowhead": "vee",
        "style": "filled",
        "fontname": "HelveticaNeue",
    }
    edge_scheme: Mapping[str, Any] = {
        "color": "darkseagreen4",
        "arrowcolor": "black",
        "arrowsize": 0.7,
    }
    node_scheme: Mapping[str, Any] = {"fillcolor": "palegreen3", "color": "palegreen4"}
    term_scheme: Mapping[str, Any] = {"fillcolor": "palegreen1", "color": "palegreen2"}
    graph_scheme: Mapping[str, Any] = {"bgcolor": "mintcream"}

    def __init__(
        self,
        root: Any = None,
        type: str | None = None,
        id: str | None = None,
        indent: int = 0,
        inw: str = " " * 4,
        **scheme: Any,
    ) -> None:
        self.id = id or "dependencies"
        self.root = root
        self.type = type or "digraph"
        self.direction = {"graph": "--", "digraph": "->"}[self.type]
        self._outer = inw * (indent or 0)
        self._inner = self._outer + inw
        self.scheme = {**self.scheme, **scheme}
        self.graph_scheme = {**self.graph_scheme, "root": self.label(self.root)}

    def head(self, **attrs: Any) -> str:
        """The beginning."""
        chosen = self.attrs(attrs, self.graph_scheme)
        return f"{self._outer}{self.type} {self.id} {{\n{self._inner}graph [{chosen}]"

    def tail(self) -> str:
        """The end."""
        return f"{self._outer}}}"

    def label(self, obj: Any) -> Any:
        """What a node is called; to be overridden."""
        return obj

    def node(self, obj: Any, **attrs: Any) -> str:
        """A node that leads on."""
        return self.draw_node(obj, self.node_scheme, attrs)

    def terminal_node(self, obj: Any, **attrs: Any) -> str:
        """A node that leads nowhere."""
        return self.draw_node(obj, self.term_scheme, attrs)

    def edge(self, a: Any, b: Any, **attrs: Any) -> str:
        """From one to another."""
        chosen = self.attrs(attrs, self.edge_scheme)
        return f'{self._inner}"{self.label(a)}" {self.direction} "{self.label(b)}" [{chosen}]'

    def draw_node(self, obj: Any, scheme: Mapping[str, Any], attrs: Mapping[str, Any]) -> str:
        """A node with these attributes."""
        return f'{self._inner}"{self.label(obj)}" [{self.attrs(attrs, scheme)}]'

    def attrs(self, attrs: Mapping[str, Any], scheme: Mapping[str, Any]) -> str:
        """All attributes as text."""
        merged = {**self.scheme, **scheme, **attrs}
        return ", ".join(f'{name}="{value}"' for name, value in merged.items())


class DependencyGraph:
    """A directed graph without cycles, as lists of successors.

    Args:
        it: ``(node, successors)`` each.
        formatter: How it is drawn.
    """

    def __init__(
        self,
        it: Iterable[tuple[Any, Iterable[Any]]] | None = None,
        formatter: GraphFormatter | None = None,
    ) -> None:
        self.formatter = formatter or GraphFormatter()
        self.adjacent: dict[Any, list[Any]] = {}
        if it is not None:
            self.update(it)

    def add_arc(self, obj: Any) -> None:
        """Add a node."""
        self.adjacent.setdefault(obj, [])

    def add_edge(self, a: Any, b: Any) -> None:
        """Have ``a`` lead to ``b``.

        Raises:
            KeyError: ``a`` is no node.
        """
        self[a].append(b)

    def connect(self, graph: DependencyGraph) -> None:
        """Add the nodes of another graph."""
        self.adjacent.update(graph.adjacent)

    def update(self, it: Iterable[tuple[Any, Iterable[Any]]]) -> None:
        """Add nodes with their successors."""
        given = list(it)
        for obj, _ in given:
            self.add_arc(obj)
        for obj, successors in given:
            for successor in successors:
                self.add_edge(obj, successor)

    def topsort(self) -> list[Any]:
        """The nodes in the order in which they must be handled: what a node leads to comes before it.

        Raises:
            ValueError: There is a cycle.
        """
        count = Counter(one for successors in self.adjacent.values() for one in successors)
        ready = [node for node in self._inmost_first() if not count[node]]
        ordered = []
        while ready:
            node = ready.pop()
            ordered.append(node)
            for successor in self[node]:
                count[successor] -= 1
                if not count[successor]:
                    ready.append(successor)
        if len(ordered) < len(self):
            raise ValueError(f"there is a cycle among the {len(self)} nodes of this graph")
        return ordered[::-1]

    def _inmost_first(self) -> list[Any]:
        """Each node after those that it leads to."""
        seen: set[Any] = set()
        ordered = []
        for root in self:
            if root in seen:
                continue
            seen.add(root)
            line = [(root, iter(self[root]))]
            while line:
                node, successors = line[-1]
                following = next((one for one in successors if one not in seen), None)
                if following is None:
                    ordered.append(node)
                    line.pop()
                else:
                    seen.add(following)
                    line.append((following, iter(self[following])))
        return ordered

    def _valencies(self) -> dict[Any, int]:
        known: dict[Any, int] = {}
        for node in self._inmost_first():
            known[node] = len(self[node]) + sum(known.get(one, 0) for one in self[node])
        return known

    def valency_of(self, obj: Any) -> int:
        """How many edges are on all ways from a node on; 0 of what is no node."""
        return self._valencies().get(obj, 0)

    def edges(self) -> Iterator[Any]:
        """The nodes that lead to others."""
        return (node for node, successors in self.items() if successors)

    def items(self) -> Iterable[tuple[Any, list[Any]]]:
        """Each node with its successors."""
        return self.adjacent.items()

    def to_dot(self, fh: Sink, formatter: GraphFormatter | None = None) -> None:
        """Write the graph in the dot language.

        Args:
            fh: A text file.
            formatter: How it is drawn; None: by the graph's own.
        """
        draw = formatter or self.formatter
        seen: set[Any] = set()

        def write_once(text: str, node: Any) -> None:
            if draw.label(node) not in seen:
                seen.add(draw.label(node))
                fh.write(f"{text}\n")

        fh.write(f"{draw.head()}\n")
        for node, successors in self.items():
            if not successors:
                write_once(draw.terminal_node(node), node)
            for successor in successors:
                write_once(draw.node(node), node)
                fh.write(f"{draw.edge(node, successor)}\n")
        fh.write(f"{draw.tail()}\n")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.adjacent)

    def __getitem__(self, node: Any) -> list[Any]:
        return self.adjacent[node]

    def __len__(self) -> int:
        return len(self.adjacent)

    def __contains__(self, node: object) -> bool:
        return node in self.adjacent

    def __repr__(self) -> str:
        valencies = self._valencies()
        lines = []
        for root in self:
            waiting = [(root, 0)]
            while waiting:
                node, level = waiting.pop()
                lines.append(f"{'     ' * level}{node}({valencies.get(node, 0)})")
                successors = self.adjacent.get(node, [])
                waiting.extend((one, level + 1) for one in reversed(successors))
        return "\n".join(lines)
