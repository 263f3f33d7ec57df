"""Writes a Delta Lake table, changes it, and reads an earlier version: ``delta_lake.py TABLE PARQUET``."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

table, parquet = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
trips = spark.range(30).select((F.col("id") % 3).alias("vendor"), F.col("id").alias("distance"))
trips.write.partitionBy("vendor").format("delta").save(table)
trips.limit(10).write.format("delta").mode("append").save(table)

# The Python API is in the jar of the package.
from delta.tables import DeltaTable  # noqa: E402

delta = DeltaTable.forPath(spark, table)
delta.delete("vendor = 0")
delta.vacuum()
print(
    "operations", sorted(row.operation for row in delta.history().collect() if "VACUUM" not in row.operation)
)
print("first version", spark.read.format("delta").option("versionAsOf", 0).load(table).count())
print("second version", spark.sql(f"SELECT count(*) AS n FROM delta.`{table}@v1`").first().n)

trips.write.parquet(parquet)
spark.sql(f"CONVERT TO DELTA parquet.`{parquet}`")
print("converted", DeltaTable.forPath(spark, parquet).toDF().count())
