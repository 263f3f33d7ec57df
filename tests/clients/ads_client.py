"""Upload, submit, watch, log, list and cancel with oracle-ads, and write the results as JSON.

Arguments: endpoint, OCI configuration file, compartment, local script, file for the results.
"""

import json
import sys
from pathlib import Path

import ads
from ads.jobs import DataFlow, DataFlowRuntime, Job

endpoint, config, compartment, script, results_file = sys.argv[1:]
ads.set_auth(
    "api_key",
    oci_config_location=config,
    profile="DEFAULT",
    client_kwargs={"service_endpoint": endpoint},
)


def create_job(name: str, script: str) -> Job:
    infrastructure = (
        DataFlow()
        .with_compartment_id(compartment)
        .with_driver_shape("VM.Standard.E4.Flex")
        .with_driver_shape_config(ocpus=1, memory_in_gbs=16)
        .with_executor_shape("VM.Standard.E4.Flex")
        .with_executor_shape_config(ocpus=2, memory_in_gbs=16)
        .with_num_executors(2)
        .with_spark_version("3.5.0")
        .with_logs_bucket_uri("oci://logs@ns/")
        .with_freeform_tag(team="weather")
    )
    runtime = (
        DataFlowRuntime()
        .with_script_uri(script)
        .with_script_bucket("oci://data@ns")
        .with_argument("default argument")
        .with_configuration({"spark.driverEnv.GREETING": "hello from ADS"})
    )
    return Job(name=name, infrastructure=infrastructure, runtime=runtime).create()


hello = create_job("by ADS", script)
run = hello.run(name="first", args=["--month", "2013-01"], freeform_tags={"a": "ä"})
run.watch(interval=1)
run.logs.application.stdout.download(f"{results_file}.log")
results = {
    "state": run.status,
    "stdout": str(run.logs.application.stdout),
    "last line": run.logs.application.stdout.tail(1),
    "downloaded": Path(f"{results_file}.log").read_text(),
    "driver": str(run.logs.driver.stderr),
    "details": json.loads(json.dumps(run.to_dict(), default=str)),
}
default = hello.run(name="second")
default.wait(interval=1)
results["stdout with default arguments"] = str(default.logs.application.stdout)
results["runs"] = [(r.display_name, r.lifecycle_state) for r in hello.run_list()]

loaded = Job.from_dataflow_job(hello.id)
results["loaded job"] = loaded.to_dict()["spec"]
results["jobs"] = [j.name for j in Job.dataflow_job(compartment_id=compartment)]

sleeper = Job.from_yaml(create_job("sleeper", "oci://data@ns/sleep.py").to_yaml())
canceled = sleeper.run(name="cancel me").cancel()
active = sleeper.run(name="active at the delete")
sleeper.delete()
active.wait(interval=1)
results["canceled"] = [canceled.status, active.status]
results["deleted"] = sleeper.id
Path(results_file).write_text(json.dumps(results))
