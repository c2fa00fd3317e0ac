"""The pages of the dashboard: tonight, grid, tests, boards, firmware, trends, search.

`Site` renders them; `tfm-harness dashboard` serves them, `tfm-harness history export-site` writes them as files.
"""

from tfm_harness.history.pages.site import Site

__all__ = ["Site"]
