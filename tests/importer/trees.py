"""Build trees as TF-M leaves them, made with imgtool and throw-away keys."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

S_SLOT, NS_SLOT = 0x8_0000, 0x10_0000


@dataclass(frozen=True)
class Keys:
    """Private keys made for these tests alone, and their public halves."""

    folder: Path

    def private(self, role: str) -> Path:
        return self.folder / f"TEST_ONLY_{role}.pem"

    def public(self, role: str) -> Path:
        return self.folder / f"image_{role}_signing_public_key.pem"


def make_keys(folder: Path) -> Keys:
    folder.mkdir(parents=True)
    keys = Keys(folder)
    for role in ("s", "ns"):
        key = ec.generate_private_key(ec.SECP256R1())
        keys.private(role).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        keys.public(role).write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    return keys


def sign(
    keys: Keys, role: str, out: Path, *, version: str, payload: bytes, slot: int, extra: tuple[str, ...] = ()
) -> Path:
    raw = out.with_suffix(".raw")
    raw.write_bytes(payload)
    software = "SPE" if role == "s" else "NSPE"
    words = [
        "sign", "-k", str(keys.private(role)), "--public-key-format", "full",
        "--align", "1", "-v", version, "-s", "auto" if version != "0.0.0" else "1", "-H", "0x400", "--pad-header",
        "-S", hex(slot), "--pad", "--boot-record", software, *extra, str(raw), str(out),
    ]  # fmt: skip
    pytest.importorskip("imgtool.main", reason="imgtool is not installed").imgtool(words, standalone_mode=False)
    raw.unlink()
    return out


def make_v21(folder: Path, keys: Keys, *, version: str = "2.1.4", seed: bytes = b"A") -> Path:
    """TF-M v2.1: an SPE build with api_ns, and an NS build."""
    api, ns = folder / "spe" / "api_ns", folder / "ns"
    (api / "bin").mkdir(parents=True)
    (api / "cmake").mkdir()
    (api / "image_signing" / "keys").mkdir(parents=True)
    (ns / "bin").mkdir(parents=True)
    include = folder / "spe" / "generated" / "secure_fw" / "spm" / "include"
    include.mkdir(parents=True)
    (api / "bin" / "bl2.axf").write_bytes(b"\x7fELF" + bytes(60) + seed)
    secure = sign(keys, "s", api / "bin" / "tfm_s_signed.bin", version=version, payload=seed * 5000, slot=S_SLOT)
    nonsecure = sign(
        keys, "ns", ns / "bin" / "tfm_ns_signed.bin", version="0.0.0", payload=seed * 3000 + b"ns", slot=NS_SLOT
    )
    (ns / "tfm_s_ns_signed.bin").write_bytes(secure.read_bytes() + nonsecure.read_bytes())
    for role in ("s", "ns"):
        shutil.copy(keys.public(role), api / "bin" / keys.public(role).name)
        shutil.copy(keys.private(role), api / "image_signing" / "keys" / f"image_{role}_signing_private_key.pem")
    (api / "cmake" / "spe_config.cmake").write_text(
        "# options\n"
        'set(TFM_PARTITION_CRYPTO                   ON                   CACHE BOOL "Enable Crypto partition")\n'
        'set(TFM_PARTITION_INTERNAL_TRUSTED_STORAGE ON CACHE BOOL "x")\n'
        'set(TFM_PARTITION_FIRMWARE_UPDATE          OFF          CACHE BOOL "x")\n'
        "set(BL2                                    ON)\n"
        "set(MCUBOOT_IMAGE_NUMBER                   2)\n"
        "set(MCUBOOT_IMAGE_VERSION_S                " + version + ")\n"
        "set(MCUBOOT_IMAGE_VERSION_NS               0.0.0)\n"
        'set(TFM_PLATFORM                           arm/mps3/corstone300/an547 CACHE STRING "Platform to build")\n'
        'set(CONFIG_TFM_SPM_BACKEND                 SFN         CACHE STRING "The SPM backend")\n'
        'set(TFM_ISOLATION_LEVEL                    1            CACHE STRING "The TFM isolation level")\n'
        f"set(TFM_VERSION                            {version})\n"
    )
    (include / "tfm_version.h").write_text(version_header(version))
    (api / "config").mkdir()
    (api / "config" / "config_ns_test.cmake").write_text(
        'set(TEST_NS_CRYPTO             ON     CACHE BOOL "Crypto tests")\nset(TFM_NS_REG_TEST "ON")\n'
        'set(EXTRA_NS_TEST_SUITE_PATH ""  CACHE PATH "extra suites")\n'
    )
    (api / "bin" / "tfm_s.bin").write_bytes(seed * 5000)
    (ns / "bin" / "tfm_ns.bin").write_bytes(seed * 3000 + b"ns")
    (folder / "spe" / "CMakeCache.txt").write_text(
        "# cache\nTFM_PLATFORM:STRING=arm/mps3/corstone300/an547\nTFM_ISOLATION_LEVEL:STRING=1\n"
        f"CMAKE_PROJECT_NAME:STATIC=Trusted Firmware M\nCMAKE_PROJECT_VERSION:STATIC={version}\n"
        "TFM_S_REG_TEST:BOOL=ON\nATTEST_TOKEN_PROFILE_PSA_IOT_1:BOOL=ON\n"
    )
    (ns / "CMakeCache.txt").write_text(
        "TFM_PLATFORM:UNINITIALIZED=arm/mps3/corstone300/an547\nTFM_NS_REG_TEST:BOOL=ON\n"
    )
    return folder


def version_header(version: str) -> str:
    """``tfm_version.h`` of v1.8.1 and newer: bare numbers, and macros that make text of them."""
    return (
        f"#ifndef __TFM_VERSION_H__\n#define __TFM_VERSION_H__\n#define TFM_VERSION        {version}\n"
        f"#define TFM_VERSION_FULL   v{version}\n#define VERSTR(x)          #x\n#define VERCON(x)          VERSTR(x)\n"
        "#define VERSION_STR        VERCON(TFM_VERSION)\n#define VERSION_FULLSTR    VERCON(TFM_VERSION_FULL)\n#endif\n"
    )


def make_zephyr(folder: Path, keys: Keys, *, extra: str = "") -> Path:
    """A Zephyr build with TF-M: TF-M's own build below it, signed files as Intel HEX only."""
    tfm, zephyr = folder / "tfm", folder / "zephyr"
    (tfm / "bin").mkdir(parents=True)
    zephyr.mkdir()
    (tfm / "CMakeCache.txt").write_text(
        "TFM_PLATFORM:STRING=arm/mps3/corstone300/an547\nTFM_ISOLATION_LEVEL:STRING=1\n"
        "CMAKE_PROJECT_NAME:STATIC=Trusted Firmware M\nCMAKE_PROJECT_VERSION:STATIC=2.1.4\n"
        f"TFM_EXTRA_MANIFEST_LIST_FILES:STRING={extra}\nBL2:BOOL=ON\n"
    )
    (folder / "CMakeCache.txt").write_text("CMAKE_PROJECT_NAME:STATIC=inference\nCMAKE_PROJECT_VERSION:STATIC=9.9.9\n")
    (tfm / "bin" / "bl2.axf").write_bytes(b"\x7fELF" + bytes(80))
    for role, name, at in (("s", "tfm_s_signed", 0x3800_0000), ("ns", "zephyr_ns_signed", 0x3808_0000)):
        out = zephyr / f"{name}.hex"
        extra_options = ("--hex-addr", hex(at))
        sign(keys, role, out, version="2.1.4" if role == "s" else "0.0.0", payload=name.encode() * 300,
             slot=S_SLOT if role == "s" else NS_SLOT, extra=extra_options)  # fmt: skip
    (zephyr / "zephyr.bin").write_bytes(b"zephyr_ns_signed" * 300)
    (zephyr / "tfm_merged.hex").write_text((zephyr / "tfm_s_signed.hex").read_text())
    return folder


def make_v18(folder: Path, keys: Keys, *, platform: str = "arm/mps3/an547", slot: int = 0x6_0000) -> Path:
    """TF-M v1.8: one build folder with bin, and only the cache to tell about it."""
    binary = folder / "bin"
    binary.mkdir(parents=True)
    (binary / "bl2.axf").write_bytes(b"\x7fELF" + bytes(80))
    secure = sign(keys, "s", binary / "tfm_s_signed.bin", version="1.8.1", payload=b"S" * 4000, slot=slot)
    nonsecure = sign(keys, "ns", binary / "tfm_ns_signed.bin", version="0.0.0", payload=b"N" * 4000, slot=slot)
    (binary / "tfm_s_ns_signed.bin").write_bytes(secure.read_bytes() + nonsecure.read_bytes())
    (folder / "CMakeCache.txt").write_text(
        f"TFM_PLATFORM:STRING={platform}\nTFM_ISOLATION_LEVEL:STRING=2\nCONFIG_TFM_SPM_BACKEND:STRING=IPC\n"
        "TFM_PARTITION_CRYPTO:BOOL=ON\nTEST_S:BOOL=ON\nMCUBOOT_IMAGE_VERSION_S:STRING=1.8.1+0\nBL2:BOOL=ON\n"
    )
    include = folder / "generated" / "secure_fw" / "spm" / "include"
    include.mkdir(parents=True)
    (include / "tfm_version.h").write_text(version_header("1.8.1"))
    inner = folder / "lib" / "ext" / "mbedcrypto-build"
    inner.mkdir(parents=True)
    (inner / "CMakeCache.txt").write_text("TFM_PLATFORM:STRING=something/else\n")
    return folder
