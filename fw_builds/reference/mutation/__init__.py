"""Mutation of the reference firmware: changes of its C, and the suites that must notice."""
