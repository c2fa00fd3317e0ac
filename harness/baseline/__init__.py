"""The baseline store: every series of every run, and which one is the accepted baseline.

SQLite by default (one file in the user's state folder), PostgreSQL by URL. SQLAlchemy loads when the
store is opened, not before.
"""

from harness.baseline.gate import Judged, judge_and_keep
from harness.baseline.store import BaselineKey, BaselineStore, StoredBaseline, default_url, run_name

__all__ = ["BaselineKey", "BaselineStore", "Judged", "StoredBaseline", "default_url", "judge_and_keep", "run_name"]
