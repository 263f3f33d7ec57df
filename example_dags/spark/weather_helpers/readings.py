"""The hourly readings of the airports."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

SCHEMA = (
    "airport STRING, observed_at STRING, temp_f DOUBLE, humidity_pct DOUBLE, wind_mph DOUBLE, "
    "precip_in DOUBLE, pressure_hpa DOUBLE, visibility_mi DOUBLE"
)


def read_readings(spark: SparkSession, source: str, max_wind_mph: float) -> DataFrame:
    """Return the readings with their day. Faster winds are errors of the anemometer, and become null."""
    wind = f.when(f.col("wind_mph") <= max_wind_mph, f.col("wind_mph"))
    day = f.to_date(f.substring("observed_at", 1, 10))
    return (
        spark.read.csv(source, schema=SCHEMA, header=True).withColumn("wind_mph", wind).withColumn("day", day)
    )
