"""State of the service: the store, the life cycles of resources, and the clock."""
