"""Arguments that DAG authors give to tasks: how they are read, rendered and masked."""
