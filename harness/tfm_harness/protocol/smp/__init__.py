"""Pseudo-driver client of the protocol ``smp``."""
