"""The command line of agents: `main` is its entry, each other file some of the verbs."""
