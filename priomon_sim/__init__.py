"""PrioMon in virtual time: scenarios in YAML, a SimPy clock, and the protocol of priomon_core on a simulated network."""
