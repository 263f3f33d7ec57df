"""An application that ends as it is told, without the cost of a Spark session."""

import argparse
import logging
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail")
args = parser.parse_args()

logging.basicConfig(stream=sys.stderr, level=logging.INFO)
print("stdout: outcome has begun", flush=True)
logging.info("stderr: sleeping for %s seconds", args.sleep)
time.sleep(args.sleep)
if args.fail:
    raise ValueError(args.fail)
print("stdout: outcome has ended")
