"""Random scenarios, to be examined."""
