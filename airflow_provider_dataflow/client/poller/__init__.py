"""One poller per connection in a triggerer process: triggers say what they wait for, it does the asking.

A :class:`RunPoller` keeps one client and one schedule for all the runs that are waited for through a
connection. Each run is asked for once, however many wait for it, and many runs of a compartment are asked for
together. :func:`shared_poller` hands out the one that belongs to a key, and closes it when the last user
leaves.
"""

from airflow_provider_dataflow.client.poller.runs import RunPoller
from airflow_provider_dataflow.client.poller.sender import ClientFactory
from airflow_provider_dataflow.client.poller.shared import shared_poller

__all__ = ["ClientFactory", "RunPoller", "shared_poller"]
