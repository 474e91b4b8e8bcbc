"""What runs leave behind: the store, the measures, the plots, the report. Simulated and live runs share all of it."""
