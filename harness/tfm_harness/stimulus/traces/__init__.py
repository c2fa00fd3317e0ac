"""Traces that come with the harness, and the script that made them."""
