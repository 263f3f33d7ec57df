"""An application that reads and writes data, or fails before that."""

import argparse

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--output", required=True)
parser.add_argument("--fail", default="")
args = parser.parse_args()

with SparkSession.builder.getOrCreate() as spark:
    if args.fail == "yes":
        raise ValueError("as told")
    spark.read.text(args.input).groupBy("value").count().write.mode("overwrite").parquet(args.output)
