"""The inference partition's TF-M glue: it configures and builds in a tree with TF-M's targets.

A simulator of TF-M's build provides the targets and generated files that TF-M's own build provides; every source
of the partition and of the client library is compiled by it for the device's CPU.
"""

from __future__ import annotations

import re
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


def make_tree(folder: Path) -> Path:
    for tool in ("cmake", "arm-none-eabi-gcc", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    (folder / "CMakeLists.txt").write_text(TREE.format(tree=folder, partition=PARTITION))
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    for name in ("psa", "psa_manifest"):
        shutil.copytree(REFERENCE / "spe" / "include" / name, folder / "include" / name)
    generated = folder / "build" / "generated" / "inference"
    shutil.copytree(PARTITION / "manifest" / "psa_manifest", generated / "psa_manifest")
    (generated / "auto_generated").mkdir()
    (generated / "auto_generated" / "intermedia_tfm_inference.c").write_text("char tfm_inference_stack[4];\n")
    (generated / "auto_generated" / "load_info_tfm_inference.c").write_text("int tfm_inference_load_info;\n")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose partition and client library are built."""
    tree = make_tree(tmp_path_factory.mktemp("built"))
    done = configure(tree, "-DTFM_PARTITION_INFERENCE=ON")
    assert done.returncode == 0, done.stderr
    target = ("--target", "tfm_psa_rot_partition_inference", "tfm_inference_api_ns")
    done = run("cmake", "--build", str(tree / "build"), "--parallel", "2", *target)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return tree


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def configure(tree: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run("cmake", "-S", str(tree), "-B", str(tree / "build"), "-G", "Unix Makefiles",
               f"-DTFM_EXTRA_PARTITION_PATHS={PARTITION}", *more)  # fmt: skip


def test_every_source_is_built(built: Path) -> None:
    (library,) = (built / "build").rglob("libtfm_psa_rot_partition_inference.a")
    members = set(run("arm-none-eabi-ar", "t", str(library)).stdout.split())
    sources = [*PARTITION.glob("*.c"), *(PARTITION / "sensor").glob("*.c"), *(PARTITION / "nn").glob("*.c")]
    assert {f"{path.name}.obj" for path in sources} | {
        "intermedia_tfm_inference.c.obj",
        "device_ioctl.c.obj",
    } == members
    symbols = run("arm-none-eabi-nm", str(library)).stdout
    for name in ("tfm_inference_init", "tfm_inference_service_sfn", "sampling_timer_flih"):
        assert f" T {name}\n" in symbols
    assert (built / "manifest_tool_ran").is_file()
    flags = [path.read_text() for path in (built / "build").rglob("tfm_psa_rot_partition_inference.dir/flags.make")]
    assert "CRYPTO_CONFIGURED" in "".join(flags)
    (client,) = (built / "build").rglob("libtfm_inference_api_ns.a")
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


# TF-M's own names (v2.1 and v2.2): a file or function of ours that is called so would stand in front of TF-M's.
TFM_HEADERS = {
    "tfm_platform_api.h", "tfm_builtin_key_ids.h", "tfm_builtin_key_loader.h", "tfm_attest_api.h", "tfm_crypto_defs.h",
    "tfm_its_defs.h", "tfm_ns_interface.h", "tfm_peripherals_def.h", "tfm_plat_defs.h", "tfm_hal_defs.h",
}  # fmt: skip
TFM_FUNCTIONS = {"tfm_platform_system_reset", "tfm_platform_ioctl", "tfm_platform_hal_ioctl", "psa_call"}


def test_no_file_is_called_like_one_of_tfms() -> None:
    ours = [
        *PARTITION.rglob("*.h"),
        *(REFERENCE / "pseudo_driver").rglob("*.h"),
        *(REFERENCE / "spe" / "include").glob("*.h"),
    ]
    assert not {path.name for path in ours} & TFM_HEADERS


def test_no_function_is_called_like_one_of_tfms(built: Path) -> None:
    (library,) = (built / "build").rglob("libtfm_psa_rot_partition_inference.a")
    symbols = run("arm-none-eabi-nm", "--defined-only", str(library)).stdout
    assert not {line.split()[-1] for line in symbols.splitlines() if " T " in line} & TFM_FUNCTIONS


def test_the_generated_manifest_header_includes_nothing() -> None:
    """As TF-M's manifest tool writes it: whoever includes it includes psa/service.h first."""
    assert "#include" not in (PARTITION / "manifest" / "psa_manifest" / "tfm_inference.h").read_text()


def test_no_service_that_the_partition_needs_needs_the_partition() -> None:
    """TF-M's manifest tool refuses a circle of dependencies: the store must not ask the partition back."""
    needed = yaml.safe_load((PARTITION / "tfm_inference.yaml").read_text())["dependencies"]
    assert "TFM_MODEL_STORE_SERVICE" in needed
    for folder in ("services", "storage", "crypto"):
        for source in (REFERENCE / "spe" / folder).glob("*.c"):
            assert "TFM_INFERENCE_SERVICE" not in source.read_text(), source


def test_what_is_hashed_goes_to_the_crypto_service_in_pieces() -> None:
    """TF-M's crypto service copies a call's vectors: 5,120 bytes by default is all that it takes (-141 otherwise)."""
    text = (PARTITION / "identity.c").read_text()
    (piece,) = re.findall(r"#define HASH_PIECE (\d+)u", text)
    assert int(piece) <= 5120 - 256
    for source in PARTITION.glob("*.c"):
        assert "psa_hash_compute" not in source.read_text(), source


@pytest.mark.parametrize(
    ("words", "of_point"),
    [
        (("-DTFM_VERSION=2.1.4",), 1),
        (("-DTFM_VERSION=2.2.2",), 0),
        ((), 0),
        (("-DTFM_VERSION=2.1.4", "-DTFM_INFERENCE_INSTANCE_ID=cose-key"), 0),
        (("-DTFM_INFERENCE_INSTANCE_ID=point",), 1),
    ],
)
def test_results_name_the_instance_id_that_tokens_of_that_version_name(
    tree: Path, words: tuple[str, ...], of_point: int
) -> None:
    done = configure(tree, "-DTFM_PARTITION_INFERENCE=ON", *words)
    assert done.returncode == 0, done.stderr
    flags = [path.read_text() for path in (tree / "build").rglob("tfm_psa_rot_partition_inference.dir/flags.make")]
    assert f"INFERENCE_INSTANCE_ID_OF_POINT={of_point}" in "".join(flags)


def test_an_instance_id_of_another_kind_is_refused(tree: Path) -> None:
    done = configure(tree, "-DTFM_PARTITION_INFERENCE=ON", "-DTFM_INFERENCE_INSTANCE_ID=ueid")
    assert done.returncode != 0
    assert "must be" in done.stderr
