"""Folder with a Terraform document, and the commands of Terraform in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.client_config import terraform_environment, terraform_lines

DOCUMENTS = Path(__file__).with_name("terraform")
_TIMEOUT_SECONDS = 300

#: OCIDs of resources that other services have.
OTHER_RESOURCES = {
    "metastore_id": "ocid1.datacatalogmetastore.oc1..metastore",
    "log_compartment_id": "ocid1.compartment.oc1..logs",
    "log_group_id": "ocid1.loggroup.oc1..group",
    "log_id": "ocid1.log.oc1..log",
    "subnet_id": "ocid1.subnet.oc1..subnet",
    "vcn_id": "ocid1.vcn.oc1..vcn",
    "nsg_id": "ocid1.networksecuritygroup.oc1..group",
}


class TerraformFailed(Exception):
    """A command of Terraform failed; the message is its output."""


@dataclass(frozen=True)
class Terraform:
    """Terraform, a build of ``terraform-provider-oci``, and a service.

    :param binary: path of ``terraform``.
    :param provider: path of the provider.
    """

    binary: str
    provider: Path
    local: LocalDataFlow

    def workspace(self, folder: Path, document: str, **variables: Any) -> Workspace:
        """Create a folder with one of the documents.

        :param variables: values of variables; those that most documents declare have one.
        """
        folder.mkdir(parents=True)
        shutil.copyfile(DOCUMENTS / f"{document}.tf", folder / "main.tf")
        shutil.copyfile(DOCUMENTS / "common.tf", folder / "common.tf")
        identity = self.local.home / "identity"
        (folder / "provider.tf").write_text(
            terraform_lines(self.local.identity, self.local.endpoint, identity)
        )
        # With the override, Terraform asks no registry, and needs no "terraform init".
        override = f'dev_overrides {{ "oracle/oci" = "{self.provider.parent}" }}'
        (folder / "terraform.rc").write_text(f"provider_installation {{\n  {override}\n}}\n")
        given = {"compartment_id": self.local.compartment_id, **OTHER_RESOURCES, **variables}
        return Workspace(self, folder, given)


@dataclass(frozen=True)
class Workspace:
    """Folder with a document.

    :param variables: values of its variables.
    """

    terraform: Terraform
    folder: Path
    variables: dict[str, Any]

    def run(self, command: str, *arguments: str, **variables: Any) -> str:
        """Run a command and return its output.

        :param variables: values that differ from those of the workspace.
        :raises TerraformFailed: its exit code is not zero.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        environment |= terraform_environment(self.terraform.local.endpoint)
        # Variables that the document does not declare are ignored in the environment.
        for name, value in (self.variables | variables).items():
            environment[f"TF_VAR_{name}"] = value if isinstance(value, str) else json.dumps(value)
        environment["TF_CLI_CONFIG_FILE"] = str(self.folder / "terraform.rc")
        environment["CHECKPOINT_DISABLE"] = "1"
        done = subprocess.run(
            [self.terraform.binary, command, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
        if done.returncode:
            raise TerraformFailed(f"terraform {command} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def apply(self, **variables: Any) -> None:
        self.run("apply", "-input=false", "-no-color", "-auto-approve", **variables)

    def destroy(self, **variables: Any) -> None:
        self.run("destroy", "-input=false", "-no-color", "-auto-approve", **variables)

    def planned(self, **variables: Any) -> dict[str, list[str]]:
        """Return the actions that a plan has for resources, by address; an empty dict if there are none."""
        self.run("plan", "-input=false", "-out=plan", **variables)
        plan = json.loads(self.run("show", "-json", "plan"))
        changes = {
            change["address"]: change["change"]["actions"]
            for change in plan.get("resource_changes", [])
            if change["mode"] == "managed"
        }
        return {address: actions for address, actions in changes.items() if actions != ["no-op"]}

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of resources and data sources, by address."""
        values = json.loads(self.run("show", "-json")).get("values", {})
        return {r["address"]: r["values"] for r in values.get("root_module", {}).get("resources", [])}

    def import_again(self, address: str, id_: str, **variables: Any) -> None:
        """Remove a resource from the state, and import it."""
        self.run("state", "rm", address)
        self.run("import", "-input=false", "-no-color", address, id_, **variables)
