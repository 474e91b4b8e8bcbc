"""An agent's part in an experiment: samples, links and faults that an orchestrator hands it."""
