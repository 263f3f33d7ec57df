"""An application that ends as it is told, without the cost of a Spark session unless it holds memory."""

import argparse
import importlib
import logging
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail")
parser.add_argument("--talk-until", help="a file; until it is there, a line comes twice a second")
parser.add_argument("--import", dest="module", help="a module to import")
parser.add_argument("--hold", type=int, default=0, help="MiB of the driver's heap to hold at the same time")
args = parser.parse_args()

logging.basicConfig(stream=sys.stderr, level=logging.INFO)
print("stdout: outcome has begun", flush=True)
logging.info("stderr: sleeping for %s seconds", args.sleep)
time.sleep(args.sleep)
number = 0
while args.talk_until and not os.path.exists(args.talk_until):
    number += 1
    print(f"stdout: line {number}", flush=True)
    time.sleep(0.5)
if args.module:
    importlib.import_module(args.module)
if args.hold:
    from pyspark.sql import SparkSession

    jvm = SparkSession.builder.getOrCreate().sparkContext._jvm
    held = [jvm.java.nio.ByteBuffer.allocate(50 * 1024 * 1024) for _ in range(0, args.hold, 50)]
    print(f"stdout: holds {50 * len(held)} MiB", flush=True)
if args.fail:
    raise ValueError(args.fail)
print("stdout: outcome has ended")
