from __future__ import annotations

import sys

import pytest
from airflow.jobs.job import Job
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dataflow import polling
from airflow_provider_dataflow.listeners import plugin, sweep, triggerer_listener


@pytest.fixture
def sweeper(mocker):
    """The class of the sweeper, replaced."""
    mocker.patch.object(triggerer_listener, "_sweeper", None)
    return mocker.patch.object(sweep, "Sweeper")


@pytest.fixture
def in_triggerer(monkeypatch, mocker):
    monkeypatch.setitem(sys.modules, "airflow.jobs.triggerer_job_runner", mocker.MagicMock())


@pytest.fixture
def job():
    """A job as the listener gets it: without a type yet."""
    return Job.__new__(Job)


def test_plugin_has_the_listener():
    assert issubclass(plugin.DataFlowPlugin, AirflowPlugin)
    assert plugin.DataFlowPlugin.listeners == [triggerer_listener]


def test_triggerer_starts_one_sweep_and_stops_it(sweeper, in_triggerer, job):
    triggerer_listener.on_starting(job)
    triggerer_listener.on_starting(job)
    sweeper.assert_called_once_with(polling.DEFAULT_SWEEP_INTERVAL_SECONDS)
    sweeper.return_value.start.assert_called_once_with()
    triggerer_listener.before_stopping(job)
    sweeper.return_value.stop.assert_called_once_with()


def test_interval_is_configured(sweeper, in_triggerer, job, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__SWEEP_INTERVAL", "60")
    triggerer_listener.on_starting(job)
    sweeper.assert_called_once_with(60.0)


@pytest.mark.parametrize("interval", ["0", "-1"])
def test_no_sweep_if_it_is_turned_off(sweeper, in_triggerer, job, monkeypatch, interval):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__SWEEP_INTERVAL", interval)
    triggerer_listener.on_starting(job)
    triggerer_listener.before_stopping(job)
    sweeper.assert_not_called()


def test_no_sweep_in_a_worker(sweeper, in_triggerer):
    triggerer_listener.on_starting(object())
    sweeper.assert_not_called()


def test_no_sweep_in_a_scheduler(sweeper, job, monkeypatch):
    monkeypatch.delitem(sys.modules, "airflow.jobs.triggerer_job_runner", raising=False)
    triggerer_listener.on_starting(job)
    sweeper.assert_not_called()


def test_database_that_is_away_is_logged_once(mocker, caplog):
    sweeper = sweep.Sweeper(0.001)
    calls = []

    def away(now):
        calls.append(now)
        if len(calls) > 3:
            sweeper.stop()
        raise RuntimeError("no database")

    mocker.patch.object(sweeper, "sweep", away)
    sweeper._run()
    assert len(calls) == 4
    assert [record.levelname for record in caplog.records if "ended tasks" in record.message] == ["WARNING"]
