"""The manifest lists that name partitions from outside of TF-M (``TFM_EXTRA_MANIFEST_LIST_FILES``)."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.files import read_file

__all__ = ["extra_partitions"]

_MAX = 1 << 20
_TEMPLATE = re.compile(r"^\s*\{[%#].*[%#]\}\s*$", re.MULTILINE)  # TF-M runs its lists through a template engine


def extra_partitions(path: Path) -> list[str] | None:
    """The names in a manifest list, as written; None when it cannot be read."""
    try:
        text = read_file(path, _MAX).decode("utf-8", "replace")
        content = yaml.load(_TEMPLATE.sub("", text), Loader=PlainLoader)  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError):
        return None
    entries = content.get("manifest_list") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        return None
    return [str(entry["name"]) for entry in entries if isinstance(entry, dict) and entry.get("name")]
