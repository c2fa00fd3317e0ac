"""The version of the numpy reference."""

__all__ = ["VERSION"]

VERSION = "2"
"""This version changes whenever any output of this reference changes."""
