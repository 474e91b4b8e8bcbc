"""Scenarios: what a user writes in YAML, checked."""
