"""The User-Agent of all requests. OCI's audit log shows it, so it says who submitted or cancelled a run."""

from __future__ import annotations

from airflow_provider_dataflow import __version__

_products: list[str] = []


def add_product(product: str) -> None:
    """Name the product that this package serves in the process, such as ``apache-airflow/3.1.0``.

    The clients know no Airflow, so whoever knows it names it here.
    """
    if product not in _products:
        _products.append(product)


def user_agent(part: str | None = None) -> str:
    """Return the SDK's own User-Agent, with the versions of the provider and of Airflow. Imports the SDK.

    :param part: which part of Airflow sends the request, such as ``triggerer``; none for sign-ins, which
        serve all parts of a process.
    """
    from airflow_provider_dataflow.client.sdk import oci

    words = [*_products, f"airflow-provider-dataflow/{__version__}"]
    if part:
        words.append(f"({part})")
    return str(oci.base_client.build_user_agent(" ".join(words)))
