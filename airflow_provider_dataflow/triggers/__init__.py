"""Triggers: waits that run in the triggerer instead of a worker."""
