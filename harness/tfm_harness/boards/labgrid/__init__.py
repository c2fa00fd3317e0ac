"""Board kind ``labgrid``."""
