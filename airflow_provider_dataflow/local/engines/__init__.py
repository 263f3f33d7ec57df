"""Engines: they execute runs, or simulate them."""
