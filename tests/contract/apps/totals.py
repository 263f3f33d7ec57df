"""Totals by key of a CSV file; says in its logs what it does."""

import logging
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

source, target, gate = sys.argv[1:4]
spark = SparkSession.builder.getOrCreate()
table = spark.read.option("header", True).option("inferSchema", True).csv(source)
print(f"{table.count()} rows of {source}")
logging.warning("from the driver")


@F.udf("long")
def doubled(value):
    print("from a worker", file=sys.stderr)
    return 2 * value


table.select("key", doubled("value").alias("value")).groupBy("key").sum("value").write.parquet(target)
while not Path(gate).exists():
    time.sleep(0.05)
if "fail" in sys.argv:
    raise LookupError(f"no such month: {sys.argv[-1]}")
print("done")
