"""The version of the numpy reference."""

__all__ = ["VERSION"]

VERSION = "2"
"""Changes with each change of a number that this reference gives."""
