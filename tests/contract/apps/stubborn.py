"""Does not want to end, and leaves a daemon of its own behind."""

import os
import signal
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

signal.signal(signal.SIGTERM, signal.SIG_IGN)
SparkSession.builder.getOrCreate().range(1).count()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    Path(sys.argv[1]).touch()
time.sleep(600)
