"""TF-M build trees become build descriptions; trees that contradict themselves are refused."""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
from pathlib import Path

import pytest
from tfm_harness.cli import import_build as cli_import
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build
from tfm_harness.errors import ConfigError
from tfm_harness.importer import import_tree, render
from tfm_harness.importer.facts import version_of
from tfm_harness.importer.layout import layout_of

from tests.importer.trees import S_SLOT, Keys, make_keys, make_v18, make_v21, make_zephyr, sign


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture(scope="module")
def v21(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    return make_v21(tmp_path_factory.mktemp("v21") / "build", keys)


@pytest.fixture(scope="module")
def v18(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    return make_v18(tmp_path_factory.mktemp("v18") / "build", keys)


@pytest.fixture
def tree(v21: Path, tmp_path: Path) -> Path:
    """A copy of the v2.1 tree to spoil."""
    return Path(shutil.copytree(v21, tmp_path / "build"))


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli_import.add_parser(parser.add_subparsers())
    args = parser.parse_args(["import-build", *argv])
    return int(args.run(args))


def refused(*roots: Path, kind: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        import_tree(list(roots))
    assert caught.value.kind == kind, str(caught.value)
    return caught.value


def test_v21(v21: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out" / "build.yaml"
    assert command(str(v21 / "spe"), str(v21 / "ns"), "-o", str(output)) == 0
    build = load_build(output)
    assert build.name == "tf-m-an547-2.1.4"
    bl2, secure, nonsecure = build.images
    assert (bl2.file.name, bl2.load, bl2.kind) == ("bl2.axf", "kernel", "elf")
    assert (secure.file.name, secure.at, secure.world, secure.component) == (
        "tfm_s_signed.bin", 0x3800_0000, "secure", "SPE",
    )  # fmt: skip
    assert (nonsecure.file.name, nonsecure.at, nonsecure.component) == ("tfm_ns_signed.bin", 0x3808_0000, "NSPE")
    assert secure.key is not None
    assert secure.key.name == "image_s_signing_public_key.pem"
    assert build.trust.images is not None
    assert build.trust.images.name == "image_ns_signing_public_key.pem"
    assert [(suite.suite, suite.expect) for suite in build.console_suites] == [("tf-m", ("Secure", "Non-secure"))]
    assert build.attestation is not None
    assert build.attestation.profile == "PSA_IOT_PROFILE_1"
    facts = build.imported
    assert facts is not None
    assert (facts.version, facts.platform, facts.isolation_level, facts.spm_backend) == (
        "2.1.4", "arm/mps3/corstone300/an547", 1, "SFN",
    )  # fmt: skip
    assert facts.partitions == ("crypto", "internal_trusted_storage")
    assert facts.images["secure"].version == "2.1.4+0"
    assert any("initial attestation key" in line for line in facts.unknown)
    told = capsys.readouterr().err
    assert "private keys in the tree, neither used nor copied: 2" in told


def test_each_value_says_where_it_came_from(v21: Path, tmp_path: Path) -> None:
    text = render(import_tree([v21]), tmp_path)
    sourced = {
        "at",
        "component",
        "version",
        "platform",
        "isolation_level",
        "spm_backend",
        "hash",
        "profile",
        "- suite",
        "key",
    }
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.split(":")[0] in sourced:
            assert "  # " in line, line
    assert "spe_config.cmake:" in text
    assert "boot record of the image" in text


def test_nothing_private_is_written_or_copied(v21: Path, tmp_path: Path) -> None:
    output = tmp_path / "build.yaml"
    command(str(v21), "-o", str(output))
    assert [path.name for path in tmp_path.iterdir()] == ["build.yaml"]
    text = output.read_text()
    assert "PRIVATE" not in text
    assert "private_key" not in text


def test_v18(v18: Path, tmp_path: Path) -> None:
    output = tmp_path / "build.yaml"
    assert command(str(v18), "-o", str(output)) == 0
    build = load_build(output)
    _, secure, nonsecure = build.images
    assert (secure.at, nonsecure.at) == (0x1100_0000, 0x1106_0000)
    assert build.imported is not None
    assert (build.imported.version, build.imported.isolation_level) == ("1.8.1", 2)
    assert build.trust.images is None
    assert [suite.expect for suite in build.console_suites] == [("Secure",)]
    assert any("public key that signs the nonsecure image" in line for line in build.imported.unknown)


def test_bin_folder_alone(v18: Path, tmp_path: Path) -> None:
    """Without configuration the headers still tell the version; the platform must be said."""
    result = import_tree([v18 / "bin"])
    assert (result.version.value, result.version.where) == ("1.8.1", "tfm_s_signed.bin, image header")
    assert any("TFM_PLATFORM" in line for line in result.unknown)
    assert command(str(v18 / "bin"), "-o", str(tmp_path / "b.yaml")) == 0  # images without an address are left as marks
    assert len(load_build(tmp_path / "b.yaml").images) == 1
    said = import_tree([v18 / "bin"], platform="an547")
    assert [entry.at.value for entry in said.images[1:] if entry.at] == [0x1100_0000, 0x1106_0000]


def test_only_the_combined_file(v21: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(v21 / "ns" / "tfm_s_ns_signed.bin", folder)
    (folder / "CMakeCache.txt").write_text("TFM_PLATFORM:STRING=arm/mps2/an521\n")
    result = import_tree([folder])
    (entry,) = result.images
    assert entry.file.name == "tfm_s_ns_signed.bin"
    assert entry.at is not None
    assert entry.at.value == 0x1008_0000
    assert any("BL2" in line for line in result.unknown)


@pytest.mark.parametrize(
    ("platform", "version", "secure"),
    [
        ("arm/mps3/corstone300/an547", (2, 1, 4), 0x3800_0000),
        ("arm/mps3/corstone300/an552", (2, 1, 0), 0x3800_0000),
        ("arm/mps3/corstone300/fvp", (2, 2, 0), 0x3800_0000),
        ("arm/mps3/an547", (1, 8, 1), 0x1100_0000),
        ("arm/mps2/an521", (1, 8, 1), 0x1008_0000),
        ("arm/mps2/an521", (2, 1, 4), 0x1008_0000),
    ],
)
def test_layouts(platform: str, version: tuple[int, int, int], secure: int) -> None:
    layout = layout_of(platform, version)
    assert layout is not None
    assert layout.secure == secure


def test_unknown_platform_is_listed_not_guessed(v18: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(v18, tmp_path / "b"))
    cache = tree / "CMakeCache.txt"
    cache.write_text(cache.read_text().replace("arm/mps3/an547", "vendor/board"))
    result = import_tree([tree])
    assert all(entry.at is None for entry in result.images if entry.signed)
    assert any("no flash layout is known for vendor/board" in line for line in result.unknown)


def test_versions() -> None:
    assert [version_of(text) for text in ("2.1.4", "v2.1.4", "2.1.4+7", "1.8", "v2.2.0-rc1", "banana", "")] == [
        (2, 1, 4), (2, 1, 4), (2, 1, 4), (1, 8, 0), (2, 2, 0), None, None,
    ]  # fmt: skip


def test_combined_file_of_another_build(tree: Path, keys: Keys, tmp_path: Path) -> None:
    other = make_v21(tmp_path / "other", keys, seed=b"B")
    shutil.copy(other / "ns" / "tfm_s_ns_signed.bin", tree / "ns" / "tfm_s_ns_signed.bin")
    error = refused(tree, kind="import-contradiction")
    assert "tfm_s_ns_signed.bin" in str(error)


def test_two_different_copies_of_an_image(tree: Path, keys: Keys) -> None:
    (tree / "spe" / "bin").mkdir()
    sign(keys, "s", tree / "spe" / "bin" / "tfm_s_signed.bin", version="2.1.4", payload=b"C" * 900, slot=S_SLOT)
    refused(tree, kind="import-contradiction")


def test_equal_copies_are_fine(tree: Path) -> None:
    (tree / "spe" / "bin").mkdir()
    shutil.copy(tree / "spe" / "api_ns" / "bin" / "tfm_s_signed.bin", tree / "spe" / "bin")
    assert "api_ns" in import_tree([tree]).images[1].file.parts


def test_image_and_configuration_of_different_versions(tree: Path) -> None:
    config = tree / "spe" / "api_ns" / "cmake" / "spe_config.cmake"
    header = tree / "spe" / "generated" / "secure_fw" / "spm" / "include" / "tfm_version.h"
    config.write_text(config.read_text().replace("2.1.4", "2.1.3"))
    header.write_text(header.read_text().replace("2.1.4", "2.1.3"))
    error = refused(tree, kind="import-contradiction")
    assert (error.expected or "").startswith("2.1.3")
    assert "2.1.4" in (error.seen or "")


def test_configuration_files_that_disagree(tree: Path) -> None:
    cache = tree / "spe" / "CMakeCache.txt"
    cache.write_text(cache.read_text().replace("ISOLATION_LEVEL:STRING=1", "ISOLATION_LEVEL:STRING=2"))
    error = refused(tree, kind="import-contradiction")
    assert "TFM_ISOLATION_LEVEL" in str(error)
    assert "CMakeCache.txt:3" in str(error)


def test_image_not_signed_by_the_key_beside_it(tree: Path, tmp_path: Path) -> None:
    strangers = make_keys(tmp_path / "strangers")
    shutil.copy(strangers.public("s"), tree / "spe" / "api_ns" / "bin" / "image_s_signing_public_key.pem")
    error = refused(tree, kind="import-contradiction")
    assert "not signed by the key beside it" in str(error)


def test_changed_image(tree: Path) -> None:
    for path in (tree / "spe" / "api_ns" / "bin" / "tfm_s_signed.bin", tree / "ns" / "tfm_s_ns_signed.bin"):
        data = bytearray(path.read_bytes())
        data[0x500] ^= 1
        path.write_bytes(data)
    error = refused(tree, kind="import-bad-image")
    assert "hash" in str(error)


def test_dependency_on_a_newer_image(tree: Path, keys: Keys) -> None:
    path = tree / "ns" / "bin" / "tfm_ns_signed.bin"
    path.unlink()
    (tree / "ns" / "tfm_s_ns_signed.bin").unlink()
    sign(keys, "ns", path, version="0.0.0", payload=b"n" * 99, slot=S_SLOT, extra=("-d", "(0, 3.0.0+0)"))
    error = refused(tree, kind="import-contradiction")
    assert "dependency TLV" in str(error)


def test_unsigned_file_with_a_signed_name(tree: Path) -> None:
    path = tree / "spe" / "api_ns" / "bin" / "tfm_s_signed.bin"
    path.write_bytes(b"\x00" * 5000)
    error = refused(tree, kind="import-bad-image")
    assert "no MCUboot magic" in str(error)


@pytest.mark.parametrize("cut", [0, 10, 31, 0x400, 0x500])
def test_truncated_image(tree: Path, cut: int) -> None:
    path = tree / "spe" / "api_ns" / "bin" / "tfm_s_signed.bin"
    path.write_bytes(path.read_bytes()[:cut])
    refused(tree, kind="import-bad-image")


def test_other_platform_than_asked_for(v21: Path) -> None:
    with pytest.raises(ConfigError, match="built for another platform"):
        import_tree([v21], platform="an521")


def test_empty_folder_missing_folder_and_file(tmp_path: Path) -> None:
    assert "neither images" in str(refused(tmp_path, kind="import-nothing"))
    refused(tmp_path / "none", kind="import-path")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", kind="import-path")
    (tmp_path / "CMakeCache.txt").write_text("TFM_PLATFORM:STRING=arm/mps3/an547\n")
    assert "BL2" in str(refused(tmp_path, kind="import-nothing"))


def test_build_without_a_boot_loader(tree: Path, tmp_path: Path) -> None:
    """BL2=OFF: nothing is signed; the ELF files carry their addresses, and the description says what is missing."""
    for path in tree.rglob("*_signed.bin"):
        path.unlink()
    (tree / "spe" / "api_ns" / "bin" / "bl2.axf").unlink()
    for path in (tree / "spe" / "api_ns" / "bin" / "tfm_s.axf", tree / "ns" / "bin" / "tfm_ns.axf"):
        path.write_bytes(b"\x7fELF" + bytes(60))
    assert "was BL2 on" in str(refused(tree, kind="import-nothing"))  # it says ON: the build was not finished
    config = tree / "spe" / "api_ns" / "cmake" / "spe_config.cmake"
    config.write_text(re.sub(r"(set\(BL2 +)ON", r"\1OFF", config.read_text()))
    output = tmp_path / "build.yaml"
    assert command(str(tree), "-o", str(output)) == 0
    build = load_build(output)
    assert [(image.file.name, image.world, image.load) for image in build.images] == [
        ("tfm_s.axf", "secure", "kernel"), ("tfm_ns.axf", "nonsecure", None),
    ]  # fmt: skip
    assert build.imported is not None
    assert any("nothing is signed" in line for line in build.imported.unknown)
    assert main(["check", str(output)]) == 0


def test_a_boot_loader_that_is_no_elf_is_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "spe" / "api_ns" / "bin" / "bl2.axf").write_bytes(b"placeholder")
    output = tmp_path / "build.yaml"
    assert command(str(tree), "-o", str(output)) == 0
    build = load_build(output)
    assert [image.file.name for image in build.images] == ["tfm_s_signed.bin", "tfm_ns_signed.bin"]
    assert build.imported is not None
    assert any("bl2.axf" in line and "not an ELF file" in line for line in build.imported.unknown)
    assert "# - file" in output.read_text()


@pytest.mark.parametrize("name", ["spe/api_ns/bin/tfm_s_signed.bin", "spe/CMakeCache.txt", "spe/api_ns/bin/bl2.axf"])
def test_names_that_hold_no_file(tree: Path, name: str) -> None:
    """A pipe would be waited for without an end."""
    path = tree / name
    path.unlink()
    path.symlink_to(tree / "nowhere")
    assert "a link to nothing" in str(refused(tree, kind="import-unreadable"))
    path.unlink()
    os.mkfifo(path)
    assert "a pipe" in str(refused(tree, kind="import-unreadable"))


def test_links_to_files_are_read(tree: Path, tmp_path: Path) -> None:
    path = tree / "spe" / "api_ns" / "bin" / "tfm_s_signed.bin"
    path.rename(tmp_path / "elsewhere.bin")
    path.symlink_to(tmp_path / "elsewhere.bin")
    (tree / "spe" / "loop").symlink_to(tree)
    assert import_tree([tree]).images[1].file == path


def test_existing_file_needs_force(v21: Path, tmp_path: Path) -> None:
    output = tmp_path / "build.yaml"
    output.write_text("mine\n")
    with pytest.raises(ConfigError, match="import-exists"):
        command(str(v21), "-o", str(output))
    assert output.read_text() == "mine\n"
    assert command(str(v21), "-o", str(output), "--force") == 0
    assert load_build(output).name == "tf-m-an547-2.1.4"


def test_strange_names_stay_text(keys: Keys, tmp_path: Path) -> None:
    folder = make_v18(tmp_path / 'it\'s: #a "tree"', keys)
    output = tmp_path / "out.yaml"
    assert command(str(folder), "-o", str(output), "--name", "on") == 0
    build = load_build(output)
    assert build.name == "on"
    assert build.images[1].file.exists()


def test_printed_to_standard_output(v21: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(v21), "-o", "-") == 0
    assert capsys.readouterr().out.startswith("# Written by `tfm-harness import-build`")


def test_the_description_passes_the_check_command(
    v21: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "build.yaml"
    assert main(["import-build", str(v21 / "spe"), str(v21 / "ns"), "-o", str(output)]) == 0
    assert main(["check", str(output)]) == 0
    assert main(["import-build", str(tmp_path / "none")]) == 4
    assert "import-path" in capsys.readouterr().err


def test_spoiled_trees_end_in_a_clear_error_or_a_valid_description(v18: Path, tmp_path: Path) -> None:
    """Random damage to images and configuration: never another exception, never a description of a damaged image."""
    rng = random.Random(11)
    tree = Path(shutil.copytree(v18, tmp_path / "b"))
    files = [tree / "CMakeCache.txt", *(tree / "bin").iterdir()]
    kept = {path: path.read_bytes() for path in files}
    for _ in range(80):
        path = rng.choice(files)
        data = bytearray(kept[path])
        for _ in range(rng.choice((1, 3, 40))):
            place = rng.choice((rng.randrange(0x440), rng.randrange(len(data))))
            data[place % len(data)] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            result = import_tree([tree])
        except ConfigError:
            pass
        else:
            target = tmp_path / "out.yaml"
            target.write_text(render(result, tmp_path))
            load_build(target, require_files=False)
            for entry in result.images:
                if entry.signed is not None:
                    assert entry.signed.image.computed_hash == entry.signed.hash
        path.write_bytes(kept[path])


# --- trees as other versions and Zephyr leave them --------------------------------------------------------------------


def test_api_ns_alone_gives_the_console_suites(v21: Path) -> None:
    result = import_tree([v21 / "spe" / "api_ns"])
    assert result.version.value == "2.1.4"
    assert [suite.value for suite in result.console_suites] == ["tf-m"]
    assert [area.value for area in result.console_areas] == ["Non-secure"]
    assert "config_ns_test.cmake" in result.console_areas[0].where


@pytest.mark.parametrize(
    "header",
    [
        '#define VERSION_MAJOR 2\n#define VERSION_FULLSTR  ("2.1.4")\n',
        '#define VERSION_STR "2.1.4"\n#define VERSION_FULLSTR "v2.1.4"\n',
        (
            "#define TFM_VERSION        2.1.4\n#define TFM_VERSION_FULL   v2.1.4-rc1+abc1234\n#define VERSTR(x)  #x\n"
            "#define VERCON(x) VERSTR(x)\n#define VERSION_FULLSTR    VERCON(TFM_VERSION_FULL)\n"
        ),
        "#define VERSION_FULLSTR VERCON(LOOP)\n#define LOOP VERCON(LOOP)\n#define TFM_VERSION 2.1.4\n",
    ],
)
def test_version_headers_of_every_age(tree: Path, header: str) -> None:
    path = tree / "spe" / "generated" / "secure_fw" / "spm" / "include" / "tfm_version.h"
    path.write_text(header)
    assert version_of(str(import_tree([tree]).version.value)) == (2, 1, 4)
    path.write_text(header.replace("2.1.4", "2.1.3"))
    refused(tree, kind="import-contradiction")


def test_an_old_cache_says_the_version_and_an_image_does_not(v18: Path, keys: Keys, tmp_path: Path) -> None:
    old = Path(shutil.copytree(v18, tmp_path / "old"))
    shutil.rmtree(old / "generated")
    cache = old / "CMakeCache.txt"
    image = "MCUBOOT_IMAGE_VERSION_S:STRING=1.8.1+0"  # the vendor's own number
    named = "CMAKE_PROJECT_NAME:STATIC=Trusted Firmware M\nCMAKE_PROJECT_VERSION:STATIC=1.7.0\n"
    cache.write_text(cache.read_text() + named)
    assert image in cache.read_text()
    assert import_tree([old]).version.value == "1.7.0"


def test_a_stale_signed_image_is_refused(tree: Path) -> None:
    """The unsigned file was built anew and not signed again."""
    for path in (tree / "spe" / "api_ns" / "bin" / "tfm_s.bin", tree / "ns" / "bin" / "tfm_ns.bin"):
        good = path.read_bytes()
        path.write_bytes(good[:100] + b"new" + good[103:])
        error = refused(tree, kind="import-contradiction")
        assert "stale" in str(error)
        assert "0x64" in (error.seen or "")
        path.write_bytes(good)
    import_tree([tree])


def test_a_zephyr_tree(keys: Keys, tmp_path: Path) -> None:
    listed = tmp_path / "manifest_list.yaml"
    listed.write_text("name: lists\nmanifest_list:\n  - name: Inference Service\n    manifest: m.yaml\n")
    folder = make_zephyr(tmp_path / "build", keys, extra=f"{listed};{tmp_path / 'gone.yaml'}")
    result = import_tree([folder])
    assert result.version.value == "2.1.4"  # TF-M's, not the application's
    assert [entry.file.name for entry in result.images] == ["bl2.axf", "tfm_s_signed.hex", "zephyr_ns_signed.hex"]
    assert all(entry.at is None for entry in result.images)
    assert "Inference Service" in [fact.value for fact in result.partitions]
    assert any("gone.yaml" in line for line in result.unknown)
    assert any("tfm_merged.hex" in note for note in result.notes)
    output = tmp_path / "build.yaml"
    assert command(str(folder), "-o", str(output)) == 0
    build = load_build(output)
    assert [image.kind for image in build.images] == ["elf", "ihex", "ihex"]
    (folder / "zephyr" / "zephyr.bin").write_bytes(b"another build" * 300)
    assert "stale" in str(refused(folder, kind="import-contradiction"))


def test_a_broken_hex_file_is_named(keys: Keys, tmp_path: Path) -> None:
    folder = make_zephyr(tmp_path / "build", keys)
    path = folder / "zephyr" / "zephyr_ns_signed.hex"
    path.write_text(path.read_text().rsplit(":", 1)[0])
    error = refused(folder, kind="import-bad-image")
    assert "cut" in (error.seen or "")
