"""Suites and targets go into the wheel, where `tfm-harness run` finds them; an editable install uses the checkout's."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's generic has no use here
    """Adds what lies outside the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; `version` is ``standard`` or ``editable``."""
        if version == "standard":
            for folder in ("suites", "targets"):
                build_data["force_include"][folder] = f"tfm_harness/_bundled/{folder}"
