"""The baseline store: every series of every run, and which one is the accepted baseline.

SQLite by default (one file in the user's state folder), PostgreSQL by URL. SQLAlchemy loads when the
store is opened, not before.
"""

from tfm_harness.history.gate import Judged, judge_and_keep
from tfm_harness.history.store import BaselineKey, BaselineStore, StoredBaseline, default_url, run_name

__all__ = ["BaselineKey", "BaselineStore", "Judged", "StoredBaseline", "default_url", "judge_and_keep", "run_name"]
