"""Experiments with real agents: who takes part, what each does, and what they came to, in the same tables as simulated runs.

Only these modules of the package know the simulator and the results; no agent imports them.
"""
