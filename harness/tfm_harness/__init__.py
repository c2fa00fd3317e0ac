"""tfm-harness: proves that a board doing confidential AI under TF-M really does it."""

__version__ = "0.1.0"
