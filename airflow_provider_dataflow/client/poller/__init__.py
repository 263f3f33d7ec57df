"""One poller per connection in a triggerer process: triggers say what they wait for, it does the asking.

A ``RunPoller`` (``runs``) keeps one client and one schedule for all the runs that are waited for through a
connection. Each run is asked for once, however many wait for it, and many runs of a compartment are asked for
together. ``shared_poller`` (``shared``) hands out the one that belongs to a key, and closes it when the last
user leaves.
"""
