"""Diagnosis of a connection and its rights, step by step. Starts no run."""
