"""The inference partition's TF-M glue: it configures and builds in a tree with TF-M's targets.

A simulator of TF-M's build provides the targets and generated files that TF-M's own build provides; every source
of the partition and of the client library is compiled by it for the device's CPU.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "fw_builds" / "reference"
PARTITION = REFERENCE / "partition"

TREE = """\
cmake_minimum_required(VERSION 3.21)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
project(tfm_stand_in C)
set(CMAKE_C_STANDARD 11)
add_compile_options(-mcpu=cortex-m55 -mthumb -mfloat-abi=hard -Wall -Wextra -Werror)
add_library(psa_interface INTERFACE)
target_include_directories(psa_interface INTERFACE {tree}/include)
add_library(tfm_api_ns INTERFACE)
target_include_directories(tfm_api_ns INTERFACE {tree}/include)
add_library(tfm_sprt INTERFACE)
add_library(psa_crypto_config INTERFACE)
target_compile_definitions(psa_crypto_config INTERFACE CRYPTO_CONFIGURED)
add_custom_target(manifest_tool COMMAND ${{CMAKE_COMMAND}} -E touch {tree}/manifest_tool_ran)
add_library(tfm_config INTERFACE)
add_library(tfm_partitions INTERFACE)
foreach(path ${{TFM_EXTRA_PARTITION_PATHS}})
  add_subdirectory(${{path}} partition)
endforeach()
add_subdirectory({partition}/interface client)
add_executable(load_info EXCLUDE_FROM_ALL main.c)
target_link_libraries(load_info PRIVATE tfm_partitions)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for tool in ("cmake", "arm-none-eabi-gcc", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    (tmp_path / "CMakeLists.txt").write_text(TREE.format(tree=tmp_path, partition=PARTITION))
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    for folder in ("psa", "psa_manifest"):
        shutil.copytree(REFERENCE / "spe" / "include" / folder, tmp_path / "include" / folder)
    generated = tmp_path / "build" / "generated" / "inference"
    shutil.copytree(PARTITION / "manifest" / "psa_manifest", generated / "psa_manifest")
    (generated / "auto_generated").mkdir()
    (generated / "auto_generated" / "intermedia_tfm_inference.c").write_text("char tfm_inference_stack[4];\n")
    (generated / "auto_generated" / "load_info_tfm_inference.c").write_text("int tfm_inference_load_info;\n")
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def configure(tree: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run("cmake", "-S", str(tree), "-B", str(tree / "build"), "-G", "Unix Makefiles",
               f"-DTFM_EXTRA_PARTITION_PATHS={PARTITION}", *more)  # fmt: skip


def test_every_source_is_built(tree: Path) -> None:
    done = configure(tree, "-DTFM_PARTITION_INFERENCE=ON")
    assert done.returncode == 0, done.stderr
    target = ("--target", "tfm_psa_rot_partition_inference", "tfm_inference_api_ns")
    done = run("cmake", "--build", str(tree / "build"), "--parallel", "2", *target)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (library,) = (tree / "build").rglob("libtfm_psa_rot_partition_inference.a")
    members = set(run("arm-none-eabi-ar", "t", str(library)).stdout.split())
    sources = [*PARTITION.glob("*.c"), *(PARTITION / "sensor").glob("*.c"), *(PARTITION / "nn").glob("*.c")]
    assert {f"{path.name}.obj" for path in sources} | {"intermedia_tfm_inference.c.obj"} == members
    symbols = run("arm-none-eabi-nm", str(library)).stdout
    for name in ("tfm_inference_init", "tfm_inference_service_sfn", "sampling_timer_flih"):
        assert f" T {name}\n" in symbols
    assert (tree / "manifest_tool_ran").is_file()
    flags = [path.read_text() for path in (tree / "build").rglob("tfm_psa_rot_partition_inference.dir/flags.make")]
    assert "CRYPTO_CONFIGURED" in "".join(flags)
    (client,) = (tree / "build").rglob("libtfm_inference_api_ns.a")
    assert " T tfm_inference_run\n" in run("arm-none-eabi-nm", str(client)).stdout


def test_off_unless_asked_for(tree: Path) -> None:
    done = configure(tree)
    assert done.returncode == 0, done.stderr
    targets = run("cmake", "--build", str(tree / "build"), "--target", "help").stdout
    assert "tfm_inference_api_ns" in targets
    assert "tfm_psa_rot_partition_inference" not in targets


def test_platform_headers_come_first(tree: Path, tmp_path: Path) -> None:
    platform = tmp_path / "platform"
    platform.mkdir()
    (platform / "devices.h").write_text("#error platform header found\n")
    done = configure(tree, "-DTFM_PARTITION_INFERENCE=ON", f"-DTFM_INFERENCE_PLATFORM_DIR={platform}")
    assert done.returncode == 0, done.stderr
    done = run("cmake", "--build", str(tree / "build"))
    assert "platform header found" in done.stderr


def test_manifests_agree_with_the_glue() -> None:
    listed = yaml.safe_load((PARTITION / "tfm_inference_manifest_list.yaml").read_text())["manifest_list"]
    (entry,) = listed
    # What TF-M's manifest tool reads of every entry (v2: description; v1: name).
    assert {"description", "name", "manifest", "output_path", "conditional", "pid", "linker_pattern"} <= set(entry)
    assert entry["pid"] >= 256  # below: TF-M's own
    assert (PARTITION / entry["manifest"]).is_file()
    glue = (PARTITION / "CMakeLists.txt").read_text()
    assert f"generated/{entry['output_path']}/auto_generated" in glue
    assert f"NOT {entry['conditional']}" in glue
    manifest = yaml.safe_load((PARTITION / entry["manifest"]).read_text())
    kind = {"PSA-ROT": "psa_rot", "APPLICATION-ROT": "app_rot"}[manifest["type"]]
    assert f"add_library(tfm_{kind}_partition_inference STATIC)" in glue
    assert entry["linker_pattern"]["library_list"] == ["*tfm_*partition_inference.*"]
    known = {"psa_framework_version", "name", "type", "priority", "model", "entry_init", "stack_size", "heap_size",
             "description", "services", "mmio_regions", "irqs", "dependencies"}  # fmt: skip
    assert set(manifest) <= known  # FF-M 1.1; TF-M refuses others unless they are registered
    assert [service["name"] for service in manifest["services"]] == ["TFM_INFERENCE_SERVICE"]
