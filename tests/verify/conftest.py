"""Settings of the verifier's tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine must not fail a test: how long an example takes says nothing here.
settings.register_profile("verify", deadline=None)
settings.load_profile("verify")
