"""What runs the runs."""
