"""Decide which run belongs to a try of a task: submit, re-attach, adopt or replace."""
