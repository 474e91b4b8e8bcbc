"""Graphs: their shape, their determinism, their distances and what bad ones are told."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from priomon_core.errors import SettingError
from priomon_sim.topology import TopologyError, build, check_connected, hops, layout, neighbours

GENERATED: list[tuple[str, dict[str, Any]]] = [
    ("complete", {}),
    ("random-regular", {"degree": 4}),
    ("watts-strogatz", {"degree": 4, "rewire": 0.2}),
    ("barabasi-albert", {"attach": 2}),
    ("grid", {}),
    ("random-geometric", {"radius": 0.4}),
    ("star", {}),
    ("ring", {}),
]
SEEDED = ["random-regular", "watts-strogatz", "barabasi-albert", "random-geometric"]


@pytest.mark.parametrize(("kind", "parameters"), GENERATED)
def test_a_graph_is_a_function_of_kind_parameters_and_seed(kind: str, parameters: dict[str, Any]) -> None:
    first, again, other = (neighbours(build(kind, 60, seed, **parameters)) for seed in (1, 1, 2))
    assert len(first) == 60
    assert first == again
    assert (first != other) == (kind in SEEDED)
    assert all(node not in row and row == sorted(row) for node, row in enumerate(first))
    assert all(node in first[other] for node, row in enumerate(first) for other in row)


@pytest.mark.parametrize(("kind", "parameters"), GENERATED)
def test_hops_are_the_shortest_paths(kind: str, parameters: dict[str, Any]) -> None:
    graph = build(kind, 60, 3, **parameters)
    expected = np.full((60, 60), 65535)
    for source, lengths in nx.all_pairs_shortest_path_length(graph):
        for target, length in lengths.items():
            expected[source, target] = length
    assert hops(graph).dtype == np.uint16
    assert np.array_equal(hops(graph), expected)


@pytest.mark.parametrize(("kind", "parameters"), GENERATED)
def test_a_layout_is_repeatable_fits_and_keeps_nodes_apart(kind: str, parameters: dict[str, Any]) -> None:
    graph = build(kind, 60, 3, **parameters)
    places = layout(graph, 5)
    assert places == layout(graph, 5)
    assert np.abs(places).max() == pytest.approx(1.0)
    assert len(set(places)) == 60


def test_a_layout_puts_linked_nodes_nearer_than_others() -> None:
    graph = build("watts-strogatz", 200, 1, degree=4, rewire=0.02)
    places = np.array(layout(graph, 1))
    apart = np.hypot(*(places[:, None] - places[None]).T)
    linked = np.array([apart[a, b] for a, b in graph.edges()])
    assert linked.mean() < apart.mean() / 3


def test_a_layout_parts_nodes_that_have_the_same_neighbours() -> None:
    places = np.array(layout(nx.complete_bipartite_graph(3, 60), 1))
    apart = np.hypot(*(places[:, None] - places[None]).T)
    assert apart[np.triu_indices(63, 1)].min() > 0.03


def test_a_layout_of_a_graph_in_parts_is_finite() -> None:
    graph = nx.disjoint_union(nx.path_graph(30), nx.path_graph(4))
    assert np.isfinite(layout(graph, 1)).all()


def test_the_star_has_its_hub_in_the_middle_of_its_picture() -> None:
    hub, *rim = layout(build("star", 9, 0), 0)
    assert np.hypot(*hub) < 1e-9
    assert np.allclose(np.hypot(*np.array(rim).T), 1.0)


@pytest.mark.parametrize(
    ("nodes", "sides", "shape"), [(1000, {}, (25, 40)), (12, {"rows": 2}, (2, 6)), (12, {"columns": 4}, (3, 4)), (2, {}, (1, 2))]
)
def test_grid_has_the_sides_asked_for_or_the_most_square_ones(nodes: int, sides: dict[str, int], shape: tuple[int, int]) -> None:
    graph = build("grid", nodes, 0, **sides)
    assert nx.is_isomorphic(graph, nx.grid_2d_graph(*shape))
    assert {(data["x"], data["y"]) for _, data in graph.nodes(data=True)} == {(c, -r) for r in range(shape[0]) for c in range(shape[1])}


def test_geometric_nodes_are_linked_exactly_within_the_radius() -> None:
    graph = build("random-geometric", 40, 2, radius=0.3)
    place = {node: (data["x"], data["y"]) for node, data in graph.nodes(data=True)}
    for a in range(40):
        for b in range(a):
            assert graph.has_edge(a, b) == (np.hypot(place[a][0] - place[b][0], place[a][1] - place[b][1]) <= 0.3)


@pytest.mark.parametrize(
    ("kind", "nodes", "parameters", "said"),
    [
        ("gird", 9, {}, "did you mean 'grid'"),
        ("ring", 1, {}, "at least two nodes, got 1"),
        ("ring", 9, {"degree": 3}, "unexpected keyword argument 'degree'"),
        ("random-regular", 9, {}, "missing a required (keyword-only )?argument: 'degree'"),
        ("random-regular", 9, {"degree": 3}, "half a link too many"),
        ("random-regular", 4, {"degree": 4}, "needs more than 4 nodes"),
        ("watts-strogatz", 9, {"degree": 3, "rewire": 0.1}, "must be even"),
        ("watts-strogatz", 9, {"degree": 4, "rewire": 1.1}, "from 0 to 1, got 1.1"),
        ("barabasi-albert", 9, {"attach": 9}, "from 1 to 8"),
        ("grid", 997, {}, "992 or 999 would"),
        ("grid", 10, {"rows": 3}, "9 or 12 would"),
        ("grid", 10, {"rows": 3, "columns": 3}, "hold 9 nodes, got 10"),
        ("grid", 10, {"columns": 0}, "columns must be above 0"),
        ("random-geometric", 9, {"radius": 0.0}, "radius must be above 0"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(kind: str, nodes: int, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        build(kind, nodes, 0, **parameters)


def test_a_graph_in_parts_is_refused_unless_allowed() -> None:
    graph = nx.disjoint_union(nx.path_graph(5), nx.path_graph(2))
    with pytest.raises(TopologyError, match="2 parts, one of them only nodes 5, 6;"):
        check_connected(graph, allow=False)
    check_connected(graph, allow=True)
    check_connected(nx.path_graph(5), allow=False)
    assert hops(graph)[0, 6] == 65535


def test_an_edge_list_keeps_numbers_and_numbers_names(tmp_path: Path) -> None:
    path = tmp_path / "links.txt"
    path.write_text("# a comment\n2 0\n\n0 1  # another\n")
    assert neighbours(build("file", 3, 0, path=path)) == [[1, 2], [0], [0]]
    path.write_text("berlin paris\nparis rome\n")
    assert neighbours(build("file", 3, 0, path=path)) == [[1], [0, 2], [1]]


def test_graphml_keeps_links_and_places(tmp_path: Path) -> None:
    path = tmp_path / "sites.graphml"
    graph = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    for at, name in enumerate(graph):
        graph.nodes[name].update(x=float(at), y=0.5)
    nx.write_graphml(graph, path)
    read = build("file", 3, 0, path=path)
    assert neighbours(read) == [[1], [0, 2], [1]]
    assert layout(read, 0) == [(-1.0, 0.0), (0.0, 0.0), (1.0, 0.0)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("links.txt", b"0 1\n1 2 3\n", r"links\.txt:2: found '1 2 3', expected the names of two nodes"),
        ("links.txt", b"0 1\n", "found 2 nodes, expected 3"),
        ("links.txt", b"0 1\n1 1\n1 2\n", "'1' is linked to itself"),
        ("links.txt", b"0 1\n\xff 2\n", "byte 4 is not UTF-8"),
        ("g.graphml", b"<graphml>\n<graph\n", r"g\.graphml:2: not XML"),
        ("g.graphml", b"<html/>", "not GraphML"),
        (
            "g.graphml",
            b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="k" for="node" attr.name="x" attr.type="string"/>'
            b'<graph edgedefault="undirected"><node id="n"><data key="k">here</data></node></graph></graphml>',
            "node 'n' has a place that is no number",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TopologyError, match=said):
        build("file", 3, 0, path=tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"none\.graphml: cannot be read"):
        build("file", 3, 0, path=tmp_path / "none.graphml")
