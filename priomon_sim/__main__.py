"""`python -m priomon_sim`."""

from priomon_sim.cli import main

main()
