"""Says something, waits for a file, and says the rest. No session: what counts is what it writes."""

import sys
import time
from pathlib import Path

gate = Path(sys.argv[1])
print("begun", flush=True)
print("half a li", end="", flush=True)
print("a warning", file=sys.stderr, flush=True)
while not gate.exists():
    time.sleep(0.02)
print("ne\ndone")
