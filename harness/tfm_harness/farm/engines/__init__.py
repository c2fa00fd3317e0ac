"""Engines run sessions: on this host, or on bench hosts through a Dask scheduler."""
