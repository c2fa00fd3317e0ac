"""The pytest plugin.

`entry` is what pytest loads in every session of every project where the harness is installed,
so it imports nothing but pytest and the standard library; the rest is imported when a board
was asked for.
"""
