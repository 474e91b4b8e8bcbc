"""`python -m priomon_sim`."""

from priomon_sim.cli.main import main

main()
