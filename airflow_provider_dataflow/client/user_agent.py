"""User-Agent of all requests. OCI's audit log shows it, for example for a submit or cancel."""

from __future__ import annotations

from airflow_provider_dataflow import __version__

_products: list[str] = []


def add_product(product: str) -> None:
    """Add a product to the User-Agent, such as ``apache-airflow/3.1.0``.

    The client does not import Airflow, so the hook adds Airflow's version.
    """
    if product not in _products:
        _products.append(product)


def user_agent(component: str | None = None) -> str:
    """Return the SDK's own User-Agent, with the versions of the provider and of Airflow. Imports the SDK.

    :param component: component of Airflow that sends the request, such as ``triggerer``. ``None`` for token
        requests, whose tokens all components of a process share.
    """
    from airflow_provider_dataflow.client.sdk import oci

    words = [*_products, f"airflow-provider-dataflow/{__version__}"]
    if component:
        words.append(f"({component})")
    return str(oci.base_client.build_user_agent(" ".join(words)))
