"""Board kind ``fvp``."""
