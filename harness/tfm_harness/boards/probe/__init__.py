"""Board kind ``probe``."""
