"""Board kind ``attach``."""
