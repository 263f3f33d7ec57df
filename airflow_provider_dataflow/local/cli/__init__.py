"""Command line dataflow-local."""
