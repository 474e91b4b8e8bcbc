"""Invariants of the protocol, one class each, that look at the history of a cluster and would notice a lie."""
