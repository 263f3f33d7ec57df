"""Write, list, read, copy and delete objects with ocifs, and write the results as JSON.

Arguments: endpoint, OCI configuration file, compartment, file for the results.
"""

import json
import sys
import time
from pathlib import Path

import fsspec

endpoint, config, compartment, results_file = sys.argv[1:]
options = {
    "config": config,
    "config_kwargs": {"service_endpoint": endpoint},
    "compartment_id": compartment,
}
fs = fsspec.filesystem("oci", **options)
fs.mkdir("ocifs@local")
with fsspec.open("oci://ocifs@local/a/small ü.txt", "w", encoding="utf-8", **options) as file:
    file.write("grüße")
large = bytes(range(256)) * 24 * 1024
with fs.open("oci://ocifs@local/a/large", "wb", block_size=5 * 2**20) as file:
    file.write(large)
with fs.open("ocifs@local/a/large", "rb") as file:
    file.seek(1000)
    part = file.read(10)
fs.copy("ocifs@local/a/large", "ocifs@local/b/copy")
deadline = time.monotonic() + 30
while not fs.exists("ocifs@local/b/copy") and time.monotonic() < deadline:  # ocifs does not wait for the copy
    time.sleep(0.05)
results = {
    "text": fs.cat("ocifs@local/a/small ü.txt").decode(),
    "part": list(part),
    "large": fs.cat("ocifs@local/a/large") == large,
    "copied": fs.cat("ocifs@local/b/copy") == large,
    "size": fs.info("ocifs@local/a/large")["size"],
    "listed": fs.ls("ocifs@local/a", refresh=True),
    "found": fs.find("ocifs@local"),
    "buckets": fs.ls("@local"),
}
fs.rm("ocifs@local/a", recursive=True)
results["left"] = fs.find("ocifs@local", refresh=True)
fs.rm("ocifs@local", recursive=True)
results["bucket exists"] = fs.exists("ocifs@local")
Path(results_file).write_text(json.dumps(results))
