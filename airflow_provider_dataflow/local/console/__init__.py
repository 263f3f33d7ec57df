"""Console at ``/console``: HTML pages, rendered on the server. The operator's link leads here.

The pages load nothing from elsewhere and work without JavaScript; a small script updates them in place.
"""

from airflow_provider_dataflow.local.console.pages import Console

__all__ = ["Console"]
