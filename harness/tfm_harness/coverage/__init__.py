"""Requirement, check, suite: which requirement each suite proves for a build."""
