"""The operator's link leads to the run's page in the console, whatever the name of the run."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.exceptions import RunFailed
from airflow_provider_dataflow.links.run import RUN_PAGE_URL, RunLink
from airflow_provider_dataflow.operators.run import InvokeRunOperator

pytestmark = pytest.mark.browser
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def context():
    ti = SimpleNamespace(
        dag_id="weather",
        run_id="manual__1",
        task_id="monthly",
        map_index=-1,
        try_number=1,
        max_tries=0,
        xcoms={},
    )
    ti.xcom_push = lambda key, value: ti.xcoms.update({key: value})
    ti.xcom_pull = lambda key, **_: ti.xcoms.get(key)
    return {"ti": ti}


def test_operator_link_leads_to_run_page(dataflow_local, context, chromium):
    dataflow_local.fails(details="no such month: 2013-13", stdout="reading 2013-13\n")
    operator = InvokeRunOperator(
        task_id="monthly",
        display_name=MARKUP,
        execute="oci://weather@local/monthly.py --month 2013-13",
        poll_interval=0.1,
    )
    with pytest.raises(RunFailed) as e:
        operator.execute(context)
    url = context["ti"].xcoms[RUN_PAGE_URL]
    assert RunLink().xcom_key == RUN_PAGE_URL
    assert url in str(e.value)

    dom = chromium.dom(url)
    [run_id] = dataflow_local.runs_created
    for expected in (run_id, "no such month: 2013-13", "reading 2013-13", 'class="state FAILED"', "--month"):
        assert expected in dom
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title
    assert title[1] != "owned"
    assert "<img" not in dom
    assert "&lt;img src=x" in dom
