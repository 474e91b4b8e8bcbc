"""The `topology` of a scenario: who is whose neighbour."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from priomon_core.errors import SettingError
from priomon_sim.scenario.network import Latency
from priomon_sim.scenario.settings import FilePath, OrAuto, OrNone, Settings, written
from priomon_sim.scenario.units import Share


class Graph(Settings):
    """What every kind of topology has."""

    role: Literal["overlay", "underlay"] = "overlay"
    """What the graph means. overlay: nodes gossip with their neighbours only, and any two of them are one link apart.
    underlay: nodes gossip with all, and a datagram crosses every link of the shortest path. Default: overlay."""
    hop_latency: OrNone[Latency] = written("none")
    """Delay of one hop of an underlay, drawn for each hop; it takes the place of network.latency. A duration or a distribution;
    none: each hop draws from network.latency. Default: none."""
    allow_disconnected: bool = False
    """Accept a graph in several pieces; an overlay in pieces can never converge, so it is refused unless meant. Default: false."""

    def most_neighbours(self, nodes: int) -> int:
        """The most neighbours that a node can have in such a graph."""
        return nodes - 1

    def misfit(self, nodes: int) -> tuple[str, str] | None:
        """The parameter that does not fit this number of nodes and why, if one does not."""
        return None


class Complete(Graph):
    """Every node is everybody's neighbour."""

    kind: Literal["complete"] = "complete"
    """All pairs are linked: the usual choice within one data centre."""


class RandomRegular(Graph):
    """A random graph in which all nodes have equally many neighbours."""

    kind: Literal["random-regular"]
    """A random graph with equal degrees: the overlay that peer sampling aims at."""
    degree: int = Field(ge=1)
    """Neighbours of each node; degree times nodes must be even. 16 keeps a thousand nodes connected at 20 % loss. No default."""

    def most_neighbours(self, nodes: int) -> int:
        return self.degree

    def misfit(self, nodes: int) -> tuple[str, str] | None:
        if self.degree >= nodes:
            return "degree", f"found {self.degree}, expected fewer neighbours than the {nodes} nodes"
        if self.degree * nodes % 2:
            return "degree", f"found {self.degree} for {nodes} nodes, expected an even product: every link has two ends"
        return None


class WattsStrogatz(Graph):
    """A ring of near neighbours with some links rewired to random nodes: a small world."""

    kind: Literal["watts-strogatz"]
    """A small world: clusters with a few long links."""
    degree: int = Field(ge=2)
    """Nearest neighbours on the ring before rewiring, half on each side, so an even number. No default."""
    rewire: Share = written("10 %")
    """Share of links moved to a random node; 10 % gives short paths and keeps the clusters. Default: 10 %."""

    @field_validator("degree")
    @classmethod
    def _even(cls, degree: int) -> int:
        if degree % 2:
            raise SettingError(f"found {degree}, expected an even number: half of the neighbours on each side")
        return degree

    def misfit(self, nodes: int) -> tuple[str, str] | None:
        if self.degree >= nodes:
            return "degree", f"found {self.degree}, expected fewer neighbours than the {nodes} nodes"
        return None


class BarabasiAlbert(Graph):
    """Grown by preferential attachment: few hubs, many leaves."""

    kind: Literal["barabasi-albert"]
    """Hubs and leaves, as networks that grew have; with attach 1 a tree."""
    attach: int = Field(ge=1)
    """Links that each new node makes. No default."""

    def misfit(self, nodes: int) -> tuple[str, str] | None:
        if self.attach >= nodes:
            return "attach", f"found {self.attach}, expected fewer links than the {nodes} nodes"
        return None


class Grid(Graph):
    """A rectangular lattice."""

    kind: Literal["grid"]
    """A lattice: every node talks with up to four others beside it."""
    rows: OrAuto[Annotated[int, Field(ge=1)]] = written("auto")
    """Rows of the lattice; auto: what makes it most square. Default: auto."""
    columns: OrAuto[Annotated[int, Field(ge=1)]] = written("auto")
    """Columns of the lattice; auto: what makes it most square. Default: auto."""

    def most_neighbours(self, nodes: int) -> int:
        return 4

    def misfit(self, nodes: int) -> tuple[str, str] | None:
        rows, columns = self.rows or 1, self.columns or 1
        if self.rows and self.columns and rows * columns != nodes:
            return "rows", f"found {rows} rows of {columns} columns, expected a product of {nodes}, the number of nodes"
        for name, side in (("rows", rows), ("columns", columns)):
            if nodes % side:
                return name, f"found {side}, expected a divisor of {nodes}, the number of nodes"
        return None


class RandomGeometric(Graph):
    """Nodes at random places of a unit square, linked when near."""

    kind: Literal["random-geometric"]
    """Nodes in the plane, linked when near: radio meshes, sites of a region."""
    radius: OrAuto[Annotated[float, Field(gt=0, le=1.5)]] = written("auto")
    """Longest link, in sides of the unit square; auto: far enough that the graph is almost surely connected. Default: auto."""


class Star(Graph):
    """One hub, all others its leaves."""

    kind: Literal["star"]
    """One hub that all others are linked to."""


class Ring(Graph):
    """Every node has one neighbour on each side."""

    kind: Literal["ring"]
    """A circle: the slowest connected graph, for comparison."""

    def most_neighbours(self, nodes: int) -> int:
        return 2


class GraphFile(Graph):
    """A graph that was drawn or measured elsewhere."""

    kind: Literal["file"]
    """A graph from a file with as many nodes as the scenario."""
    path: FilePath
    """A GraphML file (.graphml) or an edge list (two names per line), relative to the scenario file. No default."""


Topology = Annotated[
    Complete | RandomRegular | WattsStrogatz | BarabasiAlbert | Grid | RandomGeometric | Star | Ring | GraphFile,
    Field(discriminator="kind"),
]
