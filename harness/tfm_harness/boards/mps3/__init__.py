"""Board kind ``mps3``."""
