"""Measure what waiting for runs costs, and how late the end of a run is noticed."""
