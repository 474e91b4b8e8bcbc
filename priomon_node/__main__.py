"""`python -m priomon_node`."""

from priomon_node.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m priomon_node")
