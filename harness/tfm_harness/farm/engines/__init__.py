"""Where sessions run: on this host, or on bench hosts by way of a Dask scheduler."""
