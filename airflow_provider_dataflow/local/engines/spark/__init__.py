"""Engine that executes runs on real Spark."""
