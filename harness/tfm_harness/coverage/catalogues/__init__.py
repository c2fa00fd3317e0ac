"""Catalogues of requirements, as data."""
