"""Every key of a build, target or farm file that names a file, with things that are no file: said at once, by name."""

from __future__ import annotations

import copy
import importlib
import itertools
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import pydantic
import pytest
import yaml
from tfm_harness import config

from tests.cli.test_file_options import files, here, kinds_here, made, names, run
from tests.no_file import KINDS
from tests.reference_firmware import ROOT, needs_firmware

__all__ = ["files", "here"]

pytestmark = needs_firmware

SINE: Final = str(ROOT / "fw_builds" / "reference" / "models" / "sine.tflite")
BUILD: Final[dict[str, Any]] = {
    "protocol": "smp",
    "images": [{"file": "image.bin", "world": "nonsecure", "at": 0x0100_0000, "key": "public.pem"}],
    "models": {"sine": {"file": SINE}},
    "trust": {"iak": "public.pem", "results": "public.pem", "images": "public.pem", "models": "public.pem"},
    "files": {"model-signing-key": "private.pem"},
}
SERVER: Final = {"server": "https://127.0.0.1:9", "ca": "public.pem", "certificate": "public.pem", "key": "public.pem"}
KEYS: Final[Mapping[tuple[str, str], tuple[Any, ...]]] = {
    ("Image", "file"): ("images", 0, "file"),
    ("Image", "key"): ("images", 0, "key"),
    ("Image", "keys"): ("images", 0, "keys", 0),
    ("ModelConfig", "file"): ("models", "sine", "file"),
    ("ModelConfig", "compiled"): ("models", "sine", "compiled"),
    ("ModelConfig", "image"): ("models", "sine", "image"),
    ("DatasetConfig", "folder"): ("models", "sine", "dataset", "folder"),
    ("ReferenceConfig", "tflite"): ("models", "sine", "reference", "tflite"),
    ("ReferenceConfig", "onnx"): ("models", "sine", "reference", "onnx"),
    ("ReferenceConfig", "native"): ("models", "sine", "reference", "native"),
    ("ReferenceConfig", "table"): ("models", "sine", "reference", "table"),
    ("TrustConfig", "iak"): ("trust", "iak"),
    ("TrustConfig", "results"): ("trust", "results"),
    ("TrustConfig", "client"): ("trust", "client"),
    ("TrustConfig", "images"): ("trust", "images"),
    ("TrustConfig", "models"): ("trust", "models"),
    ("ProvisioningConfig", "ca"): ("provisioning", "ca"),
    ("ProvisioningConfig", "certificate"): ("provisioning", "certificate"),
    ("ProvisioningConfig", "key"): ("provisioning", "key"),
    ("ParityConfig", "inputs"): ("parity", "inputs", "sine", 0),
    ("Build", "files"): ("files", "model-signing-key"),
}
"""The keys of a build that name a file: the model's field, and the place in the YAML."""
ELSEWHERE: Final = {
    ("AttachTarget", "qemu_monitor"): "a socket of QEMU: tests/boards/attach",
    ("DiskConfig", "mount"): "where a disk is mounted: tests/boards/mps3",
    ("IrisConfig", "python_path"): "a folder of an FVP: tests/boards/fvp",
    ("ProbeTarget", "pack"): "read by pyOCD in a process of its own: tests/boards/probe",
    ("BuildSource", "folder"): "a folder of builds: tests/farm",
    ("EngineConfig", "ca"): "read by dask: tests/farm",
    ("EngineConfig", "certificate"): "likewise",
    ("EngineConfig", "key"): "likewise",
    ("Farm", "results"): "a folder that the night makes",
    ("Farm", "state_dir"): "likewise",
}


def fields() -> set[tuple[str, str]]:
    """Every field of a configuration's model that is a path."""
    found = set()
    for info in pkgutil.walk_packages(config.__path__, "tfm_harness.config."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and issubclass(value, pydantic.BaseModel) and value.__module__ == info.name:
                found |= {(value.__name__, name) for name, field in value.model_fields.items()
                          if "Path" in str(field.annotation)}  # fmt: skip
    return found


def test_every_key_that_names_a_file_is_tried() -> None:
    assert fields() == KEYS.keys() | ELSEWHERE.keys()


def with_value(place: tuple[Any, ...], value: str) -> dict[str, Any]:
    """The build with another value there."""
    build: Any = copy.deepcopy(BUILD)
    if place[0] == "provisioning":
        build["provisioning"] = dict(SERVER)
    if place[-1] == "keys" or place[-2:] == ("keys", 0):
        del build["images"][0]["key"]
    at = build
    for key, following in itertools.pairwise(place):
        if isinstance(at, dict) and key not in at:
            at[key] = [None] if following == 0 else {}
        at = at[key]
    at[place[-1]] = value
    if place[-1] == "image":
        at["slot"] = 0
    if "reference" in place or place[-1] == "compiled":
        del build["models"]["sine"]["file"]
    if place[-1] == "native":
        at["function"] = "f"
    if place[-1] in {"compiled", "tflite"}:
        build["models"]["sine"] |= {"compiled": value, "reference": SINE}
    if place[-1] == "tflite":
        build["models"]["sine"] |= {"compiled": SINE, "reference": value}
    if place == ("trust", "images"):
        del build["images"][0]["key"]
    return cast("dict[str, Any]", build)


def wrong_with(place: tuple[Any, ...], kind: str, here: Path) -> str:
    """What is wrong with what ``check`` says of it; empty when nothing is."""
    path = made(kind, here)
    (here / "build.yaml").write_text(yaml.safe_dump(with_value(place, str(path))))
    code, said = run(["check", str(here / "build.yaml")])
    if kind == "folder" and place[-1] in {"folder", 0}:
        return "" if code in {0, 4} and "Traceback" not in said else f"{place}, {kind}: {code}, {said[-300:]}"
    if kind == "huge" and place[0] == "parity":
        return ""  # read by the suite that takes it: tests/test_files.py
    if code != 4 or "Traceback" in said or not names(said, path):
        return f"{'.'.join(map(str, place))}, {kind}: {code}, {said[-400:]}"
    return ""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", KEYS.values(), ids=lambda place: ".".join(map(str, place)))
def test_a_key_with_what_is_no_file(place: tuple[Any, ...], here: Path) -> None:
    kinds = [kind for kind in kinds_here(KINDS) if kind != "binary"]  # what a raw image may be
    wrong = [wrong_with(place, kind, here) for kind in kinds]
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_the_build_is_right(here: Path) -> None:
    """Else its own faults would be found first."""
    (here / "build.yaml").write_text(yaml.safe_dump(BUILD))
    code, said = run(["check", str(here / "build.yaml")])
    assert code == 0, said
