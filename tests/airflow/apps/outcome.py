"""An application that ends as it is told, without the cost of a Spark session."""

import argparse
import logging
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail")
parser.add_argument("--talk-until", help="a file; until it is there, a line comes twice a second")
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
if args.fail:
    raise ValueError(args.fail)
print("stdout: outcome has ended")
