"""The layout of the mesh's picture: gateways on the left, hosts in the middle, their versions on the
right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mizzen.explain.mesh_graph import Edge, MeshGraph, Node, NodeKind

_LEFT: Final = {NodeKind.GATEWAY: 10, NodeKind.VERSION: 690}
_HOSTS_LEFT: Final = 320
_WIDTH: Final = {NodeKind.GATEWAY: 190, NodeKind.VERSION: 140}
_HOSTS_WIDTH: Final = 250
_ROW: Final = 52
_HEIGHT: Final = 36
_TOP: Final = 12
_LETTERS_A_PIXEL: Final = 1 / 7.4
_WHOLE: Final = 840


@dataclass(frozen=True, slots=True)
class Box:
    """A node with its position and size in pixels; `text` is its name, shortened to fit."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """An edge: its SVG path, and its label with the position."""

    edge: Edge
    path: str
    words: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Picture:
    """All boxes and lines, and the size of the picture."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def picture(graph: MeshGraph) -> Picture:
    """Lay out a graph; equal graphs give equal pictures."""
    versions: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.kind is NodeKind.VERSION:
            versions.setdefault(node.key.removeprefix("version:").rpartition("|")[0], []).append(node)
    boxes: dict[str, Box] = {}
    row = 0.0
    for host in _in_order(graph):
        own = versions.get(host.key, [])
        rows = max(1, len(own))
        boxes[host.key] = _box(host, row + (rows - 1) / 2)
        for at, version in enumerate(own):
            boxes[version.key] = _box(version, row + at)
        row += rows
    gateways = [node for node in graph.nodes if node.kind is NodeKind.GATEWAY]
    first = max(0.0, (row - len(gateways)) / 2) if row < 12 else 0.0
    for at, gateway in enumerate(gateways):
        boxes[gateway.key] = _box(gateway, first + at)
    lines = (
        _line(edge, boxes[edge.source], boxes[edge.target])
        for edge in graph.edges
        if edge.source in boxes and edge.target in boxes
    )
    height = max((box.y + box.height for box in boxes.values()), default=0.0) + _TOP
    return Picture(tuple(boxes.values()), tuple(lines), _WHOLE, height)


def _in_order(graph: MeshGraph) -> list[Node]:
    """Return the hosts: first targets of gateways, then other hosts of the mesh, then hosts outside."""
    entered = {edge.target for edge in graph.edges if edge.source.startswith(NodeKind.GATEWAY)}
    outside = (NodeKind.EXTERNAL, NodeKind.UNKNOWN)
    hosts: Iterable[Node] = (
        node for node in graph.nodes if node.kind not in (NodeKind.GATEWAY, NodeKind.VERSION)
    )
    return sorted(hosts, key=lambda node: (node.key not in entered, node.kind in outside, node.key))


def _box(node: Node, row: float) -> Box:
    width = _WIDTH.get(node.kind, _HOSTS_WIDTH)
    room = int(width * _LETTERS_A_PIXEL)
    text = node.name.removesuffix(".svc.cluster.local")
    text = text if len(text) <= room else f"{text[: room - 1]}…"
    return Box(node, _LEFT.get(node.kind, _HOSTS_LEFT), _TOP + row * _ROW, width, _HEIGHT, text)


def _line(edge: Edge, source: Box, target: Box) -> Line:
    from_y, to_y = source.y + source.height / 2, target.y + target.height / 2
    from_x = source.x + source.width
    if source.x == target.x:
        # Between two hosts the line curves outwards, on the side of the versions.
        far = from_x + 26
        path = f"M{from_x:g} {from_y:g} C{far:g} {from_y:g} {far:g} {to_y:g} {from_x:g} {to_y:g}"
        return Line(edge, path, _words(edge), far - 4, (from_y + to_y) / 2 + 4)
    middle = (from_x + target.x) / 2
    path = f"M{from_x:g} {from_y:g} C{middle:g} {from_y:g} {middle:g} {to_y:g} {target.x:g} {to_y:g}"
    # The label is on the curve at three quarters of the way, where lines to several targets are apart.
    x, y = (from_x + 36 * middle + 27 * target.x) / 64, (10 * from_y + 54 * to_y) / 64
    return Line(edge, path, _words(edge), x, y + 4)


def _words(edge: Edge) -> str:
    if edge.target.startswith(NodeKind.VERSION):
        if edge.share is not None:
            return f"{edge.share:.0f}%"
        return "some" if edge.conditional else ""
    share = f"{edge.share:.0f}%" if edge.share is not None and edge.share < 100 else ""
    return " ".join(filter(None, (share, "/".join(edge.protocols[:2]))))
