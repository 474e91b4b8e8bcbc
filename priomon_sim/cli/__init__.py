"""The command line of the simulator: `main` is its entry, each other file a verb or what verbs share."""
