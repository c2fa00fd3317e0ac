"""References without an interpreter: recorded tables, and native libraries in a process of their own."""

from __future__ import annotations

import importlib
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tfm_harness.config.model import ModelConfig
from tfm_harness.config.reference import ReferenceConfig
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.parity.values import native_values, read_table, reference_values

from tests.protocol.zephyr_shell.simulator import path_of

SOURCE = """\
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
struct in { float *input; };
struct out { float *output; };
int32_t run(struct in *in, struct out *out) { *out->output = *in->input * 2.0f; return 0; }
int32_t plain(const float *in, float *out) { *out = *in + 1.0f; return 0; }
int32_t refuses(struct in *in, struct out *out) { (void)in; (void)out; return -7; }
int32_t crashes(struct in *in, struct out *out) { (void)in; (void)out; abort(); }
int32_t tells_nothing(struct in *in, struct out *out) { (void)in; (void)out; return 0; }
static float kept;
int32_t keeps(struct in *in, struct out *out) { *out->output = *in->input + kept; kept += 1.0f; return 0; }
int32_t hangs(struct in *in, struct out *out) { (void)in; (void)out; for (volatile int i = 1; i;) {} return 0; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for this host")
    folder = tmp_path_factory.mktemp("native")
    (folder / "model.c").write_text(SOURCE)
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(folder / "libmodel.so"), str(folder / "model.c")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder / "libmodel.so"


INPUTS = np.array([0.0, 1.5, -3.25, 359.0], dtype=np.float32)


def test_a_library_is_called_for_each_input(library: Path) -> None:
    assert native_values(library, "run", INPUTS).tolist() == (INPUTS * 2).tolist()
    assert native_values(library, "plain", INPUTS, interface="pointers").tolist() == (INPUTS + 1).tolist()


def test_the_input_is_converted_once_in_single_precision(library: Path) -> None:
    reference = ReferenceConfig(native=library, function="run")
    found = reference_values(reference, INPUTS, factor=math.pi / 180)
    assert found.tolist() == (INPUTS * np.float32(math.pi / 180) * np.float32(2)).tolist()


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("refuses", "engine-refused-model"),
        ("crashes", "engine-crash"),
        ("nothing", "engine-refused-model"),
        ("tells_nothing", "engine-refused-model"),  # without a value there is NaN, which a device may equal
        ("keeps", "engine-refused-model"),
    ],
)
def test_a_library_that_fails_is_no_reference(library: Path, function: str, kind: str) -> None:
    with pytest.raises(InfrastructureError) as caught:
        native_values(library, function, INPUTS)
    assert caught.value.kind == kind


def test_a_library_that_hangs_is_ended(library: Path) -> None:
    with pytest.raises(InfrastructureError) as caught:
        native_values(library, "hangs", INPUTS, time_limit=0.5)
    assert caught.value.kind == "engine-timeout"


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"no ELF")
    with pytest.raises(InfrastructureError, match="cannot be used"):
        native_values(tmp_path / "lib.so", "run", INPUTS)


def test_a_table_is_read_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("# degrees, float32\n0 80000000\n\n45 3f000001\n0.5 bf800000\n")
    inputs, outputs = read_table(path)
    assert inputs.tolist() == [0, 45, 0.5]
    assert outputs.astype(">f4").tobytes().hex() == "800000003f000001bf800000"
    assert reference_values(ReferenceConfig(table=path), np.array([0.5], np.float32)).tolist() == [-1.0]
    with pytest.raises(ConfigError) as caught:
        reference_values(ReferenceConfig(table=path), np.array([1], np.float32))
    assert caught.value.kind == "not-in-table"


@pytest.mark.parametrize(
    "text",
    ["", "45\n", "45 0.5\n", "45 3f8000\n", "45 7f800000\n", "45 7fc00000\n", "45 3f800000\n45.0 3f800000\n",
     "nan 3f800000\n", "1e99 3f800000\n", "\x00\xff\n"],
)  # fmt: skip
def test_malformed_tables(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.txt").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        read_table(tmp_path / "table.txt")
    assert caught.value.kind == "bad-table"


def test_the_recorded_table_has_the_whole_circle() -> None:
    inputs, outputs = read_table(path_of("device_utvm_sine.txt"))
    assert inputs.tolist() == list(range(360))
    assert len(set(outputs.tolist())) > 100


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"file": "m.tflite", "reference": {"table": "t.txt"}},
        {"reference": {"table": "t.txt", "native": "l.so", "function": "f"}},
        {"reference": {"native": "l.so"}},
        {"reference": {"table": "t.txt", "function": "f"}},
        {"reference": {"table": "t.txt"}, "quantisation": "round"},
        {"reference": {"table": "t.txt"}, "input_factor": math.inf},
    ],
)
def test_a_model_has_one_reference(declared: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate(declared)


def test_public_names_stay_functions_when_their_modules_are_imported() -> None:
    for name in ("compare", "quantise"):
        importlib.import_module(f"tfm_harness.parity.{name}")
        assert callable(getattr(importlib.import_module("tfm_harness.parity"), name))
