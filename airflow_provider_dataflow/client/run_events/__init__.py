"""Events of all runs of an application or compartment, for the watcher of assets.

:mod:`.stream` finds new runs and follows them through the poller; :mod:`.reported_runs` remembers which of
their states are reported, so that no event is lost or sent twice.
"""
