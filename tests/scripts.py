"""Scripts that belong to no package, loaded as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["load_script"]


def load_script(path: Path, name: str = "", *, listed: bool = False) -> ModuleType:
    """The script as a module called `name` (default: as its file).

    Args:
        path: the script.
        name: what the module is called.
        listed: put it into `sys.modules`, where its dataclasses look themselves up.
    """
    name = name or path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if listed:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
