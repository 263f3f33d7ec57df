"""Spark application: a stream of numbers, one file of JSON lines per batch.

``rate_stream.py --output oci://bucket@namespace/folder/ --checkpoint oci://bucket@namespace/checkpoint/``

The next run continues from the checkpoint, which has the last number that was read. The output has a list of
the files that are complete. So no number is lost or written twice, whenever a run is stopped.
"""

from __future__ import annotations

import argparse

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("--output", required=True)
parser.add_argument("--checkpoint", required=True)
parser.add_argument("--rows-per-second", default="10")
parser.add_argument("--interval", default="1 second", help="time between two batches")
arguments = parser.parse_args()

spark = SparkSession.builder.getOrCreate()
numbers = (
    spark.readStream.format("rate").option("rowsPerSecond", arguments.rows_per_second).load().select("value")
)
query = (
    numbers.coalesce(1)
    .writeStream.format("json")
    .option("path", arguments.output)
    .option("checkpointLocation", arguments.checkpoint)
    .trigger(processingTime=arguments.interval)
    .start()
)
query.awaitTermination()
