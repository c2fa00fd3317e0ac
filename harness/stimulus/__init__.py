"""Stimulus."""
