"""What several Spark applications know about the weather data."""
