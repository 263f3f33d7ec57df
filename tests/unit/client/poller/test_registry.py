from __future__ import annotations

from airflow_provider_dataflow.client.poller.subscriptions import RunRegistry, Subscription


def subscription(run_id: str = "a") -> Subscription:
    return Subscription(run_id, ["SUCCEEDED"], 30, 60, None)


async def test_subscriptions_of_a_run_share_it():
    registry = RunRegistry()
    first, second = subscription(), subscription()
    assert registry.add(first, None) is registry.add(second, "c")
    registry.remove(first)
    assert registry.subscriptions == [second]


async def test_run_moves_to_another_compartment():
    registry = RunRegistry()
    run = registry.add(subscription(), "c")
    registry.assign(run, "d")
    assert list(registry.compartments) == ["d"]
    assert run.compartment is not None
    assert list(run.compartment.runs) == ["a"]


async def test_last_subscription_removes_run_and_compartment():
    registry = RunRegistry()
    only = subscription()
    registry.add(only, "c")
    registry.remove(only)
    registry.remove(only)
    assert (registry.runs, registry.compartments) == ({}, {})


async def test_run_without_subscription_is_not_assigned_to_a_compartment():
    """Its last subscriber can leave while it is polled; the response must not bring the run back."""
    registry = RunRegistry()
    only = subscription()
    run = registry.add(only, None)
    registry.remove(only)
    registry.assign(run, "c")
    assert not registry.compartments


async def test_outdated_run_does_not_displace_its_successor():
    registry = RunRegistry()
    only = subscription()
    outdated = registry.add(only, "c")
    registry.remove(only)
    current = registry.add(subscription(), "c")
    registry.assign(outdated, "c")
    assert registry.compartments["c"].runs == {"a": current}
