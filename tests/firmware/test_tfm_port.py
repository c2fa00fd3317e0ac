"""The port template for TF-M: what can be compiled and run without TF-M's sources.

TF-M's own build sees the rest (docs/targets.md says with which versions, and when).
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tfm_harness.testing import ImageRecipe, make_image
from tfm_harness.verify import parse_mcuboot, reference_private_key
from tfm_harness.verify.derive import derive_reference_keys

REFERENCE = Path(__file__).resolve().parents[2] / "fw_builds" / "reference"
PORT = REFERENCE / "tfm_port"
PLATFORM = PORT / "platform"


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, timeout=300)


def tools(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")


# -- sections

LINKER_SCRIPT = """\
MEMORY { FLASH (rx) : ORIGIN = 0x38000400, LENGTH = 512K  RAM (rw) : ORIGIN = 0x31000000, LENGTH = 1M }
SECTIONS {
  .text : { *(.text*) *(.rodata*) } > FLASH
  .tfm_data : { *(.data*) } > RAM AT> FLASH
  .tfm_bss (NOLOAD) : { *(.bss*) } > RAM AT> RAM
}
"""
PROGRAM = """\
#include <stdint.h>
#include "tfm_memory_sections.h"
SECTION_MODEL uint8_t model[64];
SECTION_ARENA uint8_t arena[4096];
SECTION_SENSOR_WINDOW uint32_t window[8];
int data = 1;
void Reset_Handler(void) { model[0] = arena[0] = (uint8_t)window[0] + (uint8_t)data; }
"""


def sections(tmp_path: Path, headers: Path, limit: str = "0x310fffff") -> subprocess.CompletedProcess[str]:
    tools("cmake", "arm-none-eabi-gcc", "arm-none-eabi-readelf")
    (tmp_path / "script.ld").write_text(LINKER_SCRIPT)
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "region_defs.h").write_text(f"#define S_DATA_START 0x31000000\n#define S_DATA_LIMIT ({limit})\n")
    gcc = ("arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mthumb", "-ffreestanding", f"-I{headers}", f"-I{tmp_path}")
    image, regions = tmp_path / "tfm_s.axf", tmp_path / "regions.o"
    linked = run(*gcc, "-nostdlib", "-Wl,--entry=Reset_Handler", "-T", tmp_path / "script.ld",
                 tmp_path / "program.c", "-o", image)  # fmt: skip
    assert linked.returncode == 0, linked.stderr
    assert run(*gcc, "-c", PLATFORM / "regions.c", "-o", regions).returncode == 0
    return run("cmake", "-DREADELF=arm-none-eabi-readelf", f"-DIMAGE={image}", f"-DREGIONS={regions}", "-P",
               PLATFORM / "check_sections.cmake")  # fmt: skip


def test_the_templates_sections_stand_in_secure_ram(tmp_path: Path) -> None:
    done = sections(tmp_path, PORT / "partition")
    assert done.returncode == 0, done.stderr


def test_sections_that_would_land_in_flash_fail_the_build(tmp_path: Path) -> None:
    """The reference firmware's own header names sections that TF-M's linker script does not know."""
    done = sections(tmp_path, REFERENCE / "spe" / "include")
    assert done.returncode != 0
    assert ".isram1.model: 64 bytes at 0x31" in done.stderr
    assert "stored in flash" in done.stderr
    assert ".isram1.arena" in done.stderr
    assert ".tfm_bss" not in done.stderr


def test_sections_behind_the_end_of_secure_ram_fail_the_build(tmp_path: Path) -> None:
    done = sections(tmp_path, PORT / "partition", limit="0x31000fff")
    assert done.returncode != 0
    assert ".tfm_bss" in done.stderr


# -- keys and ids

HOOK = """\
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "mbedtls/md.h"
#include "tfm_plat_otp.h"
int (*hmac_hook)(const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *);
uint8_t huk[32];
int otp_fails;
int mbedtls_md_hmac(const void *info, const uint8_t *key, size_t key_len, const uint8_t *in, size_t len, uint8_t *out)
{ (void)info; return hmac_hook(key, key_len, in, len, out); }
const void *mbedtls_md_info_from_type(int type) { return type == MBEDTLS_MD_SHA256 ? "sha256" : NULL; }
void mbedtls_platform_zeroize(void *buf, size_t len) { memset(buf, 0, len); }
int tfm_plat_otp_read(int id, size_t len, uint8_t *out) { memcpy(out, huk, len); return otp_fails || id != 0; }
"""
HOOK_HEADERS = {
    "mbedtls/md.h": "#include <stddef.h>\n#include <stdint.h>\n#define MBEDTLS_MD_SHA256 6\n"
    "const void *mbedtls_md_info_from_type(int type);\n"
    "int mbedtls_md_hmac(const void *, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *);\n",
    "mbedtls/platform_util.h": "#include <stddef.h>\nvoid mbedtls_platform_zeroize(void *, size_t);\n",
    "tfm_plat_otp.h": "#include <stddef.h>\n#include <stdint.h>\nenum { PLAT_OTP_ID_HUK, PLAT_OTP_ID_IAK };\n"
    "enum { TFM_PLAT_ERR_SUCCESS, TFM_PLAT_ERR_SYSTEM_ERR };\n"
    "int tfm_plat_otp_read(int, size_t, uint8_t *);\n",
}
HMAC = ctypes.CFUNCTYPE(
    ctypes.c_int,
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
)


def shared(tmp_path: Path, *sources: Path) -> ctypes.CDLL:
    tools("gcc")
    library = tmp_path / "under_test.so"
    done = run("gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", *sources, "-o", library)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def test_keys_and_uuid_are_those_of_the_reference_firmware(tmp_path: Path) -> None:
    """By the rule of docs/protocol.md; the host computes them on its own."""
    (tmp_path / "mbedtls").mkdir()
    for name, text in HOOK_HEADERS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "hook.c").write_text(HOOK)
    library = shared(tmp_path, PLATFORM / "derive.c", tmp_path / "hook.c")

    def digest(key: int, key_len: int, data: int, length: int, out: int) -> int:
        mac = hmac.digest(ctypes.string_at(key, key_len), ctypes.string_at(data, length), "sha256")
        ctypes.memmove(out, mac, len(mac))
        return 0

    hook = HMAC(digest)
    ctypes.c_void_p.in_dll(library, "hmac_hook").value = ctypes.cast(hook, ctypes.c_void_p).value
    rng = random.Random(1)
    for _ in range(20):
        huk = rng.randbytes(32)
        (ctypes.c_uint8 * 32).in_dll(library, "huk")[:] = list(huk)
        key, uuid = ctypes.create_string_buffer(32), ctypes.create_string_buffer(16)
        for role in ("result", "client"):
            assert library.derive_p256_key(f"tfm-harness/{role}/v1".encode(), key)
            wanted = reference_private_key(huk, role).private_numbers().private_value
            assert key.raw == wanted.to_bytes(32, "big"), role
        assert library.derive_uuid(uuid)
        assert uuid.raw == derive_reference_keys(huk).uuid.bytes
    ctypes.c_int.in_dll(library, "otp_fails").value = 1
    assert not library.derive_p256_key(b"tfm-harness/result/v1", key) & 0xFF
    assert not library.derive_uuid(uuid) & 0xFF


# -- images


class ImageInfo(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint8), ("minor", ctypes.c_uint8), ("revision", ctypes.c_uint16),
                ("sha256", ctypes.c_uint8 * 32))  # fmt: skip


def test_version_and_hash_of_an_image_in_flash(tmp_path: Path) -> None:
    library = shared(tmp_path, PLATFORM / "image_info.c")

    def read(flash: bytes) -> ImageInfo | None:
        info = ImageInfo()
        found = library.image_info_read(flash, ctypes.c_size_t(len(flash)), ctypes.byref(info)) & 0xFF
        return info if found else None

    image = make_image(ImageRecipe(payload=bytes(range(256)) * 5, name="", counter=7, version=(2, 1, 1004)))
    flash = image + b"\xff" * 4096
    info = read(flash)
    assert info is not None
    assert (info.major, info.minor, info.revision) == (2, 1, 1004)
    (digest,) = [tlv.value for tlv in parse_mcuboot(image).tlvs if tlv.type == 0x10]
    assert bytes(info.sha256) == digest
    assert read(b"\xff" * 4096) is None
    rng = random.Random(2)
    for _ in range(500):  # lengths that lie, everywhere: no byte behind the end is read (guarded by the copy's size)
        damaged = bytearray(flash[: rng.randrange(1, len(flash))])
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        read(bytes(damaged))


# -- the model store and the manifests


def test_the_model_store_knows_its_model(tmp_path: Path) -> None:
    tools("cmake", "arm-none-eabi-gcc")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "CMakeLists.txt").write_text(f"""\
cmake_minimum_required(VERSION 3.21)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_ASM_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
project(tfm_simulator C ASM)
set(CMAKE_C_STANDARD 99)
add_compile_options(-mcpu=cortex-m55 -mthumb -fshort-enums -Wall -Wextra $<$<COMPILE_LANGUAGE:C>:-Werror>)
add_library(psa_interface INTERFACE)
target_include_directories(psa_interface INTERFACE {tree}/include)
add_library(tfm_sprt INTERFACE)
add_library(tfm_config INTERFACE)
add_library(tfm_partitions INTERFACE)
add_subdirectory({PORT}/model_store store)
""")
    shutil.copytree(REFERENCE / "spe" / "include" / "psa", tree / "include" / "psa")
    generated = tmp_path / "build" / "generated" / "model_store"
    (generated / "auto_generated").mkdir(parents=True)
    (generated / "psa_manifest").mkdir()
    (generated / "auto_generated" / "intermedia_tfm_model_store.c").write_text("char tfm_model_store_stack[4];\n")
    (generated / "auto_generated" / "load_info_tfm_model_store.c").write_text("int tfm_model_store_load_info;\n")
    # As TF-M's manifest tool writes it: it includes nothing.
    (generated / "psa_manifest" / "tfm_model_store.h").write_text(
        "psa_status_t tfm_model_store_init(void);\npsa_status_t tfm_model_store_service_sfn(const psa_msg_t *msg);\n"
    )
    model = REFERENCE / "models" / "sine.tflite"
    words = ("cmake", "-S", tree, "-B", tmp_path / "build", "-DTFM_PARTITION_MODEL_STORE=ON")
    done = run(*words, f"-DTFM_INFERENCE_MODEL={tmp_path}/none.tflite", "-DTFM_INFERENCE_MODEL_NAME=sine")
    assert done.returncode != 0
    assert "TFM_INFERENCE_MODEL names no file" in done.stderr
    done = run(*words, f"-DTFM_INFERENCE_MODEL={model}", "-DTFM_INFERENCE_MODEL_NAME=sine")
    assert done.returncode == 0, done.stderr
    done = run("cmake", "--build", tmp_path / "build")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (library,) = (tmp_path / "build").rglob("libtfm_psa_rot_partition_model_store.a")
    content = library.read_bytes()
    assert hashlib.sha256(model.read_bytes()).digest() in content
    assert model.read_bytes() in content
    assert b"sine\0" in content


def test_manifests_make_no_circle_and_have_places_of_their_own() -> None:
    store = yaml.safe_load((PORT / "model_store" / "tfm_model_store.yaml").read_text())
    assert "dependencies" not in store
    lists = [PORT / "model_store" / "tfm_model_store_manifest_list.yaml",
             REFERENCE / "partition" / "tfm_inference_manifest_list.yaml"]  # fmt: skip
    entries = [yaml.safe_load(path.read_text())["manifest_list"][0] for path in lists]
    assert len({entry["pid"] for entry in entries}) == len(entries)
    assert len({entry["output_path"] for entry in entries}) == len(entries)


def test_what_a_vendor_fills_in_is_marked() -> None:
    marked = {path.name for path in PORT.rglob("*") if path.is_file() and "VENDOR:" in path.read_text()}
    assert marked >= {"settings.cmake", "devices.h", "tfm_memory_sections.h", "builtin_keys.c", "platform_ioctl.c",
                      "sampling_timer_irq.c", "attach.cmake", "CMakeLists.txt", "tfm_builtin_key_ids.h"}  # fmt: skip
    assert all(len(path.read_text().splitlines()) < 160 for path in PORT.rglob("*") if path.is_file())
