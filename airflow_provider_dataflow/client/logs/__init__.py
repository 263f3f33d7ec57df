"""Reading of a run's logs, also while the run is in progress."""
