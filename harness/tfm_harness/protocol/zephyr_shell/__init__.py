"""Pseudo-driver client of the protocol ``zephyr_shell``."""
