"""Plots, drawn from the store only."""
