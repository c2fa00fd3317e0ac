"""The policy under which a run was judged."""

from __future__ import annotations

from tfm_harness.findings import Policy

__all__ = ["policy_named"]


def policy_named(name: str) -> Policy:
    """The policy of that name; an unknown one counts as the strictest."""
    try:
        return Policy(name)
    except ValueError:
        return Policy.PRODUCTION
