"""Arguments of tasks and triggers: how they are read, rendered and masked."""
