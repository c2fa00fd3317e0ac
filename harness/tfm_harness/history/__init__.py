"""The store of all runs: outcomes, findings, figures, and the accepted baselines.

It is SQLite by default (one file in the user's state folder), PostgreSQL by URL. SQLAlchemy is imported when the
store is opened, not before.
"""

from tfm_harness.history.gate import Judged, judge_and_keep
from tfm_harness.history.store import BaselineKey, BaselineStore, StoredBaseline, default_url, run_name

__all__ = ["BaselineKey", "BaselineStore", "Judged", "StoredBaseline", "default_url", "judge_and_keep", "run_name"]
