"""Strict models of targets and builds, and how they are found and read."""
