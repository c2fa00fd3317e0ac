"""Simulator for the `iris` package that comes with FVPs."""
