# [START dag]
import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.run import InvokeRunOperator

with DAG("weather", schedule="@monthly", start_date=pendulum.datetime(2013, 1, 1), catchup=False) as dag:
    InvokeRunOperator(
        task_id="monthly",
        display_name="monthly {{ ds }}",
        execute="oci://weather@local/monthly.py --month {{ logical_date.strftime('%Y-%m') }}",
        deferrable=True,
    )
# [END dag]
