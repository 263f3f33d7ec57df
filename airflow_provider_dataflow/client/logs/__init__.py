"""Read a run's logs and follow them while the run is in progress."""
