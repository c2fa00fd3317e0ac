"""Other plugins that disturb each other, and so every test, when they are installed together."""

from __future__ import annotations

from types import ModuleType

import pytest

__all__ = ["keep_apart"]


def keep_apart(config: pytest.Config) -> None:
    """Let tests run where both labgrid and pytest-embedded are installed.

    Both have a fixture `target`. pytest-embedded asks for it in every test and gets labgrid's, which skips
    every test of a run without ``--lg-env``. In such a run pytest-embedded gets its own fixture back.
    """
    manager = config.pluginmanager
    embedded = next(
        (plugin for _, plugin in manager.list_name_plugin() if _name(plugin) == "pytest_embedded.plugin"), 0
    )
    labgrid = any(_name(plugin).startswith("labgrid.pytestplugin") for _, plugin in manager.list_name_plugin())
    own = getattr(embedded, "target", None)
    if own is not None and labgrid and not getattr(config.option, "lg_env", None):
        holder = ModuleType("tfm_harness_neighbours")  # pytest looks for fixtures in modules and classes
        vars(holder)["target"] = own
        manager.register(holder, holder.__name__)


def _name(plugin: object) -> str:
    return str(getattr(plugin, "__name__", ""))
