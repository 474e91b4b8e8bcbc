"""Who is linked to whom: graphs of nodes 0 to n-1, generated or read from a file, and what a simulation asks of them.

A graph is a function of (kind, parameters, seed). Where a kind has places (a grid, a random geometric graph, a file that gives them),
nodes carry them as attributes `x` and `y`.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from priomon_core.errors import PriomonError, SettingError
from priomon_core.links import UNREACHABLE
from priomon_sim.compiled import compiled

Graph = Any  # networkx has no types
LANDMARKS = 50
BLOCK = 16_384  # pairs of nodes whose forces are computed at once: as many as fit the processor's caches
MOST_ELONGATED = 4  # of a grid whose rows nobody named


class TopologyError(PriomonError, ValueError):
    """A graph cannot be read from its file or cannot carry the run."""


def build(kind: str, nodes: int, seed: int, **parameters: Any) -> Graph:
    """The networkx graph of this kind. Raises `SettingError` for parameters that do not fit, `TopologyError` for a bad file."""
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SettingError(f"topology {kind!r} is unknown; expected one of {', '.join(KINDS)}{hint}")
    if nodes < 2:
        raise SettingError(f"a topology needs at least two nodes, got {nodes}")
    try:
        inspect.signature(KINDS[kind]).bind(nodes, seed, **parameters)
    except TypeError as error:
        raise SettingError(f"topology {kind!r}: {error}") from error
    return KINDS[kind](nodes, seed, **parameters)


def check_connected(graph: Graph, allow: bool) -> None:
    """Raises `TopologyError` if the graph falls into parts, unless that is allowed."""
    parts = sorted(nx.connected_components(graph), key=len)
    if allow or len(parts) < 2:
        return
    members = sorted(parts[0])
    shown = ", ".join(map(str, members[:8])) + (", ..." if len(members) > 8 else "")
    raise TopologyError(
        f"the topology falls into {len(parts)} parts, one of them only node{'s' if len(members) > 1 else ''} {shown}; "
        "add links, take another seed, or set topology.allow_disconnected: true"
    )


def neighbours(graph: Graph) -> list[list[int]]:
    """The neighbours of every node, in ascending order."""
    return [sorted(graph[node]) for node in range(len(graph))]


def hops(graph: Graph) -> NDArray[np.uint16]:
    """The lengths of all shortest paths, uint16 [nodes, nodes]; `UNREACHABLE` where there is none."""
    return np.asarray(distances(np.arange(len(graph)), *_links(graph)))


def layout(graph: Graph, seed: int) -> list[tuple[float, float]]:
    """A place for every node in a picture, within -1 to 1: the graph's own places, a circle if that shows it, else forces."""
    if all("x" in data and "y" in data for _, data in graph.nodes(data=True)):
        places = np.array([(data["x"], data["y"]) for _, data in sorted(graph.nodes(data=True))], dtype=np.float64)
    else:
        circle = _circle(graph)
        places = _spread(graph, seed) if circle is None else circle
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    places /= max(float(np.abs(places).max()), 1e-9)
    return [(float(x), float(y)) for x, y in places]


def _complete(nodes: int, seed: int) -> Graph:
    return nx.complete_graph(nodes)


def _ring(nodes: int, seed: int) -> Graph:
    return nx.cycle_graph(nodes) if nodes > 2 else nx.path_graph(nodes)


def _star(nodes: int, seed: int) -> Graph:
    return nx.star_graph(nodes - 1)


def _random_regular(nodes: int, seed: int, *, degree: int) -> Graph:
    _require(0 < degree < nodes, f"a degree of {degree} needs more than {degree} nodes and must be above 0, got {nodes} nodes")
    _require(nodes * degree % 2 == 0, f"{nodes} nodes of degree {degree} have half a link too many; make one of the two even")
    return nx.random_regular_graph(degree, nodes, seed=seed)


def _watts_strogatz(nodes: int, seed: int, *, degree: int, rewire: float) -> Graph:
    _require(degree % 2 == 0 and 0 < degree < nodes, f"the degree must be even, above 0 and below {nodes}, got {degree}")
    _require(0 <= rewire <= 1, f"rewire is a share from 0 to 1, got {rewire:g}")
    return nx.watts_strogatz_graph(nodes, degree, rewire, seed=seed)


def _barabasi_albert(nodes: int, seed: int, *, attach: int) -> Graph:
    _require(0 < attach < nodes, f"attach must be from 1 to {nodes - 1} for {nodes} nodes, got {attach}")
    return nx.barabasi_albert_graph(nodes, attach, seed=seed)


def _grid(nodes: int, seed: int, *, rows: int | None = None, columns: int | None = None) -> Graph:
    rows, columns = _sides(nodes, rows, columns)
    graph = nx.Graph()
    graph.add_nodes_from((node, {"x": float(node % columns), "y": -float(node // columns)}) for node in range(nodes))
    graph.add_edges_from((node, node + 1) for node in range(nodes) if (node + 1) % columns)
    graph.add_edges_from((node, node + columns) for node in range(nodes - columns))
    return graph


def _sides(nodes: int, rows: int | None, columns: int | None) -> tuple[int, int]:
    _require(rows is None or rows > 0, f"rows must be above 0, got {rows}")
    _require(columns is None or columns > 0, f"columns must be above 0, got {columns}")
    if rows and columns:
        _require(rows * columns == nodes, f"{rows} rows of {columns} hold {rows * columns} nodes, got {nodes}")
        return rows, columns
    side = rows or columns
    if side:
        low = nodes // side * side
        fitting = f"{low} or {low + side}" if low else str(side)
        _require(nodes % side == 0, f"{nodes} nodes do not fill rows or columns of {side}; {fitting} would")
        return (side, nodes // side) if rows else (nodes // side, side)
    square = _most_square(nodes)
    if square is None:
        below = next(n for n in range(nodes, 0, -1) if _most_square(n))
        above = next(n for n in range(nodes, 2 * nodes) if _most_square(n))
        raise SettingError(f"{nodes} nodes do not fill a grid; {below} or {above} would, or name its rows")
    return square


def _most_square(nodes: int) -> tuple[int, int] | None:
    rows = next(side for side in range(math.isqrt(nodes), 0, -1) if nodes % side == 0)
    return (rows, nodes // rows) if nodes // rows <= MOST_ELONGATED * rows else None


def _random_geometric(nodes: int, seed: int, *, radius: float | None = None) -> Graph:
    """Nodes in a unit square, linked within `radius`; by default where such graphs become connected (Gupta and Kumar, 1998)."""
    if radius is None:
        radius = math.sqrt(2 * math.log(nodes) / (math.pi * nodes))
    _require(radius > 0, f"the radius must be above 0, got {radius:g}")
    places = np.random.default_rng(seed).random((nodes, 2))
    graph = nx.Graph()
    graph.add_nodes_from((node, {"x": float(x), "y": float(y)}) for node, (x, y) in enumerate(places))
    for node in range(nodes - 1):
        near = np.hypot(*(places[node + 1 :] - places[node]).T) <= radius
        graph.add_edges_from((node, node + 1 + int(other)) for other in np.flatnonzero(near))
    return graph


def _file(nodes: int, seed: int, *, path: str | Path) -> Graph:
    """GraphML if the name ends so, else one link per line: two names. Names 0 to n-1 stay; others are numbered as they appear."""
    path = Path(path)
    try:
        graph = _read_graphml(path) if path.suffix.lower() == ".graphml" else _read_edges(path)
    except OSError as error:
        raise TopologyError(f"{path}: cannot be read ({error.strerror}); expected a GraphML file or an edge list") from error
    except UnicodeDecodeError as error:
        raise TopologyError(f"{path}: byte {error.start} is not UTF-8; expected text in UTF-8") from error
    if len(graph) != nodes:
        raise TopologyError(f"{path}: found {len(graph)} nodes, expected {nodes}; make the scenario's number of nodes the same")
    if loops := list(nx.nodes_with_selfloops(graph)):
        raise TopologyError(f"{path}: node {loops[0]!r} is linked to itself; remove that link")
    numbered = {str(node) for node in graph} == {str(node) for node in range(nodes)}
    return nx.relabel_nodes(graph, {name: int(name) if numbered else at for at, name in enumerate(graph)})


def _read_graphml(path: Path) -> Graph:
    try:
        found = nx.read_graphml(path)
    except ParseError as error:
        raise TopologyError(f"{path}:{error.position[0]}: not XML ({error}); expected a GraphML file") from error
    except (nx.NetworkXError, ValueError, KeyError) as error:
        raise TopologyError(f"{path}: not GraphML ({error}); expected nodes and links as GraphML has them") from error
    graph = nx.Graph()
    for name, data in found.nodes(data=True):
        try:
            graph.add_node(name, **{axis: float(data[axis]) for axis in ("x", "y") if axis in data})
        except ValueError as error:
            raise TopologyError(f"{path}: node {name!r} has a place that is no number ({error})") from error
    graph.add_edges_from(found.edges())
    return graph


def _read_edges(path: Path) -> Graph:
    graph = nx.Graph()
    for line, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        names = text.partition("#")[0].split()
        if names and len(names) != 2:
            raise TopologyError(f"{path}:{line}: found {text.strip()!r}, expected the names of two nodes, or a # comment")
        graph.add_edges_from([names] if names else [])
    return graph


def _require(good: bool, rule: str) -> None:
    if not good:
        raise SettingError(f"topology: {rule}")


KINDS: dict[str, Callable[..., Graph]] = {
    "complete": _complete,
    "random-regular": _random_regular,
    "watts-strogatz": _watts_strogatz,
    "barabasi-albert": _barabasi_albert,
    "grid": _grid,
    "random-geometric": _random_geometric,
    "star": _star,
    "ring": _ring,
    "file": _file,
}


def _links(graph: Graph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The graph as compiled code reads it: the neighbours of node i are targets[starts[i]:starts[i + 1]]."""
    lists = neighbours(graph)
    return np.cumsum([0, *map(len, lists)]), np.array([target for row in lists for target in row], dtype=np.int64)


def _distances(roots: NDArray[np.int64], starts: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The lengths of the shortest paths from each root to all nodes, by breadth-first search."""
    nodes = len(starts) - 1
    far = np.full((len(roots), nodes), UNREACHABLE, dtype=np.uint16)
    queue = np.empty(nodes, dtype=np.int64)
    for row, root in enumerate(roots):
        far[row, root] = 0
        queue[0] = root
        taken, known = 0, 1
        while taken < known < nodes:
            node = queue[taken]
            taken += 1
            for at in range(starts[node], starts[node + 1]):
                target = targets[at]
                if far[row, target] == UNREACHABLE:
                    far[row, target] = far[row, node] + 1
                    queue[known] = target
                    known += 1
    return far


distances = compiled(_distances, "uint16[:, ::1](int64[::1], int64[::1], int64[::1])")


def _circle(graph: Graph) -> NDArray[np.float64] | None:
    """Rings, and stars and complete graphs of up to 200 nodes; None for what a circle would not show."""
    nodes, degrees = len(graph), [degree for _, degree in graph.degree()]
    star = max(degrees) == nodes - 1 == graph.number_of_edges()
    ring = max(degrees) == 2 and all(graph.has_edge(node, (node + 1) % nodes) for node in range(nodes))
    complete = min(degrees) == nodes - 1
    if not (ring or (nodes <= 200 and (star or complete))):
        return None
    hub = degrees.index(nodes - 1) if star and nodes > 2 else None
    places = np.zeros((nodes, 2))
    rim = [node for node in range(nodes) if node != hub]
    turn = 2 * np.pi * np.arange(len(rim)) / len(rim)
    places[rim] = np.column_stack((np.sin(turn), np.cos(turn)))
    return places


def _spread(graph: Graph, seed: int) -> NDArray[np.float64]:
    """Places whose distances resemble the path lengths, then evened out by forces.

    The start is the landmark scaling of Brandes and Pich (2007), which keeps a lattice a lattice; the forces are those of Fruchterman
    and Reingold (1991), for as many rounds as take about a second.
    """
    generator = np.random.default_rng(seed)
    nodes = len(graph)
    links = _links(graph)
    far = distances(generator.permutation(nodes)[:LANDMARKS], *links).T.astype(np.float64)
    far[far == UNREACHABLE] = 1.5 * far[far != UNREACHABLE].max()
    centred = far**2
    centred -= centred.mean(axis=0) + centred.mean(axis=1, keepdims=True) - centred.mean()
    places = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -2:]
    places *= np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # an eigenvector has no sign of its own
    places /= max(float(np.abs(places).max()), 1e-9)
    places += 0.01 * generator.standard_normal(places.shape)  # forces cannot part nodes in one place
    return _evened(places, *links, min(100, 100_000_000 // (nodes**2 + len(links[1]))))


def _evened(places: NDArray[np.float64], starts: NDArray[np.int64], targets: NDArray[np.int64], rounds: int) -> NDArray[np.float64]:
    """`places`, float64 [nodes, 2], after `rounds` of linked nodes attracting and all nodes repelling each other.

    In numpy, not compiled: forces magnify a difference in the last bit, and places shall not depend on whether numba is installed.
    """
    nodes = len(places)
    ideal = 2.0 / math.sqrt(nodes)
    sources = np.repeat(np.arange(nodes), np.diff(starts))
    height = max(1, BLOCK // nodes)
    x, y = places.T.copy()
    for turn in range(rounds):
        longest = 0.2 * (1.0 - turn / rounds)
        right, up = x[targets] - x[sources], y[targets] - y[sources]
        pull = np.hypot(right, up) / ideal
        moves_x, moves_y = np.bincount(sources, right * pull, nodes), np.bincount(sources, up * pull, nodes)
        for first in range(0, nodes, height):
            block = slice(first, first + height)
            right, up = x[block, None] - x, y[block, None] - y
            push = ideal * ideal / np.maximum(right * right + up * up, 1e-9)
            moves_x[block] += (right * push).sum(axis=1)
            moves_y[block] += (up * push).sum(axis=1)
        length = np.maximum(np.hypot(moves_x, moves_y), 1e-9)
        step = np.minimum(length, longest) / length
        x += moves_x * step
        y += moves_y * step
    return np.column_stack((x, y))
