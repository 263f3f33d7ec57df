"""``/console``: pages for people, made on the server. The operator's link leads here.

They work without a network and without scripts; a small script of their own lets them follow what happens.
"""

from airflow_provider_dataflow.local.console.pages import Console

__all__ = ["Console"]
