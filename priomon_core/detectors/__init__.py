"""Ways to find out who is alive, one per file."""
