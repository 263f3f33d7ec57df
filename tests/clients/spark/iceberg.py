"""Writes an Iceberg table of the catalog ``dev``, changes it, and reads an earlier snapshot."""

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(30).selectExpr("id % 3 AS vendor", "id AS distance").writeTo("dev.db.trips").partitionedBy(
    "vendor"
).create()
spark.range(5).selectExpr("id AS vendor", "id AS distance").writeTo("dev.db.trips").append()
spark.sql("DELETE FROM dev.db.trips WHERE vendor = 0")
snapshots = spark.table("dev.db.trips.snapshots").orderBy("committed_at").collect()
print("operations", [snapshot.operation for snapshot in snapshots])
first = spark.read.option("snapshot-id", snapshots[0].snapshot_id).table("dev.db.trips")
print("first snapshot", first.count())
print("now", spark.table("dev.db.trips").count())
spark.sql(f"CALL dev.system.rollback_to_snapshot('db.trips', {snapshots[1].snapshot_id})")
print("rolled back", spark.table("dev.db.trips").count())
