"""The protocol of PrioMon as a pure state machine: no clock, no socket, no file, no numpy.

Start reading at `node.GossipNode`; docs/algorithm.md tells the theory and the invariants.
"""

__version__ = "0.1.0"
