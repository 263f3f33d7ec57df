"""Polls runs for all triggers of a connection in a triggerer process.

``shared_poller`` returns the :class:`~.poller.RunPoller` of a connection. Triggers subscribe to
runs. Each run is polled once per interval, however many subscriptions it has, and many runs of a compartment
are polled by one ListRuns.
"""
