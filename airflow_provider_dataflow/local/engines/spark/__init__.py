"""The engine that runs runs on real Spark."""
